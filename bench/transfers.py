"""Compare transfers with other clients on this machine: `python -m bench.transfers`.

Each measurement uses a new MinIO server on loopback; its drive, the files and the downloads are in one
folder. The clients take turns, so that other load on the machine affects all of them.
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
from bench.page import put_into
from bench.transfers_page import CONTENDERS, MIB, Figure, Workload, filesystem, section
from storage.client import StoreAccess, open_store
from storage.keys import StoreKey

PAGE = ROOT / "docs" / "benchmarks.md"


def workloads(scale: float) -> list[Workload]:
    """The three workloads, scaled by `scale`; for small files, the number is scaled instead of the size."""
    size = int(4096 * scale)
    files, small = max(1, int(64 * scale)), max(1, int(10_000 * scale))
    return [
        Workload(name=f"1 x {size} MiB", count=1, size=size * MIB),
        Workload(name=f"{files} x 64 MiB", count=files, size=64 * MIB),
        Workload(name=f"{small} x 16 KiB", count=small, size=16 << 10),
    ]


def measure(folder: Path, scale: float, repeats: int, kept: list[Figure]) -> Iterator[Figure]:
    """Yield all measurements that are not in `kept`; the clients take turns."""
    done = Counter((figure.workload.name, figure.contender) for figure in kept if not figure.up)
    for workload in workloads(scale):
        source = folder / "source"
        write_files(source, workload)
        for number in range(repeats):
            contenders = [each for each in CONTENDERS if done[workload.name, each] <= number]
            # In random order: the state of the machine's memory after a turn affects the next one.
            for contender in random.sample(contenders, len(contenders)):
                yield from turn(folder, workload, contender)
        shutil.rmtree(source)


def whole_turns(keep: Path) -> list[Figure]:
    """The figures of an interrupted run; an upload without a measured download is discarded."""
    figures = [Figure.model_validate_json(line) for line in keep.read_text().splitlines()]
    if figures and figures[-1].up:
        figures.pop()
    keep.write_text("".join(figure.model_dump_json() + "\n" for figure in figures))
    return figures


def turn(folder: Path, workload: Workload, contender: str) -> Iterator[Figure]:
    """Measure a client's upload and download with a new store, because MinIO delays deletions."""
    with minio(folder / "store") as (host, port, key):
        client = open_store(StoreAccess(endpoint=f"http://{host}:{port}", region=REGION, key=key))
        client.create_bucket(Bucket=BUCKET)
        client.close()
        for up in (True, False):
            figure = run_task(folder, workload, contender, up, host, port, key)
            rate = workload.count * workload.size / MIB / figure.seconds
            say(f"{workload.name} {contender} {'up' if up else 'down'}: {rate:.0f} MiB/s")
            yield figure


def run_task(
    folder: Path, workload: Workload, contender: str, up: bool, host: str, port: int, key: StoreKey
) -> Figure:
    """Run one transfer of a client, and verify a download."""
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
        completed = subprocess.run(
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
                raise RuntimeError(f"{contender} downloaded different bytes than it uploaded")
        return Figure(workload=workload, contender=contender, up=up, **json.loads(completed.stdout))
    finally:
        shutil.rmtree(target)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_files(folder: Path, workload: Workload) -> None:
    """Write the workload's files with random bytes."""
    folder.mkdir()
    for number in range(workload.count):
        with (folder / str(number)).open("wb") as file:
            for start in range(0, workload.size, MIB):
                file.write(os.urandom(min(MIB, workload.size - start)))


def main() -> int:
    """Measure and rewrite the section."""
    parser = argparse.ArgumentParser(prog="python -m bench.transfers", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the full sizes")
    parser.add_argument("--repeats", type=int, default=3)
    temporary = Path(tempfile.gettempdir())
    parser.add_argument("--folder", type=Path, default=temporary, help="needs 20 GiB at full size")
    parser.add_argument(
        "--keep",
        type=Path,
        help="append each figure to this file as a line of JSON; figures in it are not measured again",
    )
    options = parser.parse_args()
    figures = whole_turns(options.keep) if options.keep and options.keep.exists() else []
    with tempfile.TemporaryDirectory(prefix="slipway-bench-", dir=options.folder) as name:
        for figure in measure(Path(name), options.scale, options.repeats, list(figures)):
            figures.append(figure)
            if options.keep:
                with options.keep.open("a") as file:
                    file.write(figure.model_dump_json() + "\n")
    put_into(PAGE, "transfers", section(figures, filesystem(options.folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
