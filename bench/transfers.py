"""Compare transfers with other clients on this machine: `python -m bench.transfers`.

A MinIO on loopback, a new one for each contender's turn; its drive, the files and what is read back lie
in one folder. The contenders take turns, so that what else runs here meets all of them.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bench.contenders import BUCKET, REGION, Task
from bench.local_store import minio
from bench.measure import ROOT, say
from bench.page import BEGIN, END
from bench.transfers_page import CONTENDERS, MIB, Figure, Workload, filesystem, section
from storage.client import StoreAccess, open_store
from storage.keys import StoreKey

PAGE = ROOT / "docs" / "benchmarks.md"


def workloads(scale: float) -> list[Workload]:
    """The three of them, `scale` times as large; small files become fewer, not smaller."""
    size = int(4096 * scale)
    files, small = max(1, int(64 * scale)), max(1, int(10_000 * scale))
    return [
        Workload(name=f"1 x {size} MiB", count=1, size=size * MIB),
        Workload(name=f"{files} x 64 MiB", count=files, size=64 * MIB),
        Workload(name=f"{small} x 16 KiB", count=small, size=16 << 10),
    ]


def measured(folder: Path, scale: float, repeats: int, kept: list[Figure]) -> Iterator[Figure]:
    """Take every measurement that is not among those kept; the contenders take turns."""
    had = Counter((figure.workload.name, figure.contender) for figure in kept if not figure.up)
    for workload in workloads(scale):
        source = folder / "source"
        written(source, workload)
        for number in range(repeats):
            contenders = [each for each in CONTENDERS if had[workload.name, each] <= number]
            # In another order each time: what a turn leaves in the machine's memory meets the next one.
            for contender in random.sample(contenders, len(contenders)):
                yield from turn(folder, workload, contender)
        shutil.rmtree(source)


def whole_turns(keep: Path) -> list[Figure]:
    """The figures of a run that was cut off; an upload whose download was never measured is left out."""
    figures = [Figure.model_validate_json(line) for line in keep.read_text().splitlines()]
    if figures and figures[-1].up:
        figures.pop()
    keep.write_text("".join(figure.model_dump_json() + "\n" for figure in figures))
    return figures


def turn(folder: Path, workload: Workload, contender: str) -> Iterator[Figure]:
    """One contender's upload and download, with a new store: MinIO keeps for a while what is deleted."""
    with minio(folder / "store") as (host, port, key):
        client = open_store(StoreAccess(endpoint=f"http://{host}:{port}", region=REGION, key=key))
        client.create_bucket(Bucket=BUCKET)
        client.close()
        for up in (True, False):
            figure = taken(folder, workload, contender, up, host, port, key)
            rate = workload.count * workload.size / MIB / figure.seconds
            say(f"{workload.name} {contender} {'up' if up else 'down'}: {rate:.0f} MiB/s")
            yield figure


def taken(
    folder: Path, workload: Workload, contender: str, up: bool, host: str, port: int, key: StoreKey
) -> Figure:
    """Let one contender do one transfer, and check what it read."""
    target = folder / "target"
    target.mkdir()
    try:
        task = Task(
            contender=contender,
            up=up,
            count=workload.count,
            size=workload.size,
            source=folder / "source",
            target=target,
            host=host,
            port=port,
        )
        done = subprocess.run(
            [sys.executable, "-m", "bench.contenders", task.model_dump_json()],
            cwd=ROOT,
            env={
                **os.environ,
                "BENCH_ACCESS_KEY": key.access_key,
                "BENCH_SECRET_KEY": key.secret_key.get_secret_value(),
            },
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        if not up:
            last = str(workload.count - 1)
            if digest(target / last) != digest(folder / "source" / last):
                raise RuntimeError(f"{contender} read other bytes than were written")
        return Figure(workload=workload, contender=contender, up=up, **json.loads(done.stdout))
    finally:
        shutil.rmtree(target)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def written(folder: Path, workload: Workload) -> None:
    """Write the workload's files, of bytes that can't be compressed."""
    folder.mkdir()
    for number in range(workload.count):
        with (folder / str(number)).open("wb") as file:
            for start in range(0, workload.size, MIB):
                file.write(os.urandom(min(MIB, workload.size - start)))


def put_into(page: Path, lines: list[str]) -> None:
    """Replace the section in the page, or append it."""
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    made = "\n".join([BEGIN, *lines]).rstrip() + f"\n{END}"
    page.write_text((before.rstrip() + "\n\n" + made + after).rstrip() + "\n")


def main() -> int:
    """Measure and rewrite the section."""
    parser = argparse.ArgumentParser(prog="python -m bench.transfers", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full sizes")
    parser.add_argument("--repeats", type=int, default=3)
    where = Path(tempfile.gettempdir())
    parser.add_argument("--folder", type=Path, default=where, help="needs 20 GiB at full size")
    parser.add_argument(
        "--keep",
        type=Path,
        help="append each figure to this file as a line of JSON; what it holds already is not measured again",
    )
    options = parser.parse_args()
    figures = whole_turns(options.keep) if options.keep and options.keep.exists() else []
    with tempfile.TemporaryDirectory(prefix="slipway-bench-", dir=options.folder) as name:
        for figure in measured(Path(name), options.scale, options.repeats, list(figures)):
            figures.append(figure)
            if options.keep:
                with options.keep.open("a") as file:
                    file.write(figure.model_dump_json() + "\n")
    put_into(PAGE, section(figures, filesystem(options.folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
