"""Compare transfers with other clients and with the limit, on this machine: `python -m bench.transfers`.

A MinIO on loopback, a new one for each contender's turn; its drive, the files and what is read back lie
in one folder. The contenders take turns, so that what else runs here meets all of them.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from bench.contenders import BUCKET, REGION, Task
from bench.local_store import minio
from bench.measure import ROOT, say
from bench.page import BEGIN, END
from storage.client import StoreAccess, open_store
from storage.keys import StoreKey

PAGE = ROOT / "docs" / "benchmarks.md"
MIB = 1 << 20
LARGE = (
    "raw HTTP x 1", "raw HTTP x 4", "raw HTTP, files x 4",
    "Slipway", "Slipway, SHA-256 known", "awscrt", "boto3", "minio",
)  # fmt: skip
SMALL = (
    "raw HTTP x 1", "raw HTTP x 8", "raw HTTP, files x 8",
    "Slipway", "Slipway, SHA-256 known", "awscrt", "boto3", "minio",
)  # fmt: skip


class Workload(BaseModel):
    """So many files of one size."""

    name: str
    count: int
    size: int


class Figure(BaseModel):
    """One transfer by one contender."""

    workload: Workload
    contender: str
    up: bool
    seconds: float
    processor: float
    """Seconds of processor time, the store's not among them."""

    memory: int
    """Peak of the process, in bytes; 0 where it is not measured."""


def workloads(scale: float) -> list[Workload]:
    """The three of them, `scale` times as large; small files become fewer, not smaller."""
    size = int(4096 * scale)
    files, small = max(1, int(64 * scale)), max(1, int(10_000 * scale))
    return [
        Workload(name=f"1 x {size} MiB", count=1, size=size * MIB),
        Workload(name=f"{files} x 64 MiB", count=files, size=64 * MIB),
        Workload(name=f"{small} x 16 KiB", count=small, size=16 << 10),
    ]


def measured(folder: Path, scale: float, repeats: int) -> Iterator[Figure]:
    """Take every measurement; the contenders take turns."""
    for workload in workloads(scale):
        source = folder / "source"
        written(source, workload)
        for _ in range(repeats):
            if workload.count == 1:
                seconds = loopback(workload.size)
                yield Figure(
                    workload=workload, contender="raw TCP", up=False, seconds=seconds, processor=0, memory=0
                )
            contenders = SMALL if workload.size < MIB else LARGE
            # In another order each time: what a turn leaves in the machine's memory meets the next one.
            for contender in random.sample(contenders, len(contenders)):
                yield from turn(folder, workload, contender)
        shutil.rmtree(source)


def turn(folder: Path, workload: Workload, contender: str) -> Iterator[Figure]:
    """One contender's upload and download, with a new store: MinIO keeps for a while what is deleted."""
    with minio(folder / "store") as (host, port, key):
        client = open_store(StoreAccess(endpoint=f"http://{host}:{port}", region=REGION, key=key))
        client.create_bucket(Bucket=BUCKET)
        client.close()
        for up in (True, False):
            if not up and contender.startswith("raw HTTP"):
                # What raw puts there are not the files, and may lie under other keys.
                taken(folder, workload, "Slipway", True, host, port, key)
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
        if not up and not contender.startswith("raw"):
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


def loopback(size: int) -> float:
    """Seconds that so many bytes take from one process to another over a TCP socket, and nothing else."""
    sender = (
        "import os, socket, sys\n"
        "sock = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "body = os.urandom(1 << 20)\n"
        "for _ in range(int(sys.argv[2]) >> 20): sock.sendall(body)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with subprocess.Popen([sys.executable, "-c", sender, str(port), str(size)]):
            sock, _ = server.accept()
            buffer = bytearray(MIB)
            started = time.monotonic()
            with sock:
                while sock.recv_into(buffer):
                    pass
            return time.monotonic() - started


def filesystem(folder: Path) -> str:
    """What a folder lies on: memory in small pages is slower than in huge ones, and a disk than both."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    _, _, kind, options, *_ = max(
        (mount for mount in mounts if folder.resolve().is_relative_to(mount[1])),
        key=lambda mount: len(mount[1]),
    )
    huge = ", huge pages" if "huge=always" in options.split(",") else ""
    return f"memory ({kind}{huge})" if kind == "tmpfs" else kind


def section(figures: list[Figure], where: str) -> list[str]:
    """The figures as a section of the page."""
    rounds = max(Counter((each.workload.name, each.contender, each.up) for each in figures).values())
    lines = [
        "## Transfers",
        "",
        f"Written by `python -m bench.transfers` on {datetime.date.today().isoformat()}: "
        "a new MinIO on loopback for each turn, "
        f"{os.cpu_count()} cores for both, all files and the store's drive in {where}, "
        f"Linux {platform.release()}, Python {platform.python_version()}.",
        f"Medians of {rounds}; the contenders took turns, in another order each round. *raw* is a bare "
        "socket: no file, no checksum; *files*: the kernel sends the files' bytes, and what comes is "
        "written. Each contender has the memory that its files are cached in before the clock starts.",
        "",
    ]
    for workload in dict.fromkeys(figure.workload.name for figure in figures):
        rows = [figure for figure in figures if figure.workload.name == workload]
        small = rows[0].workload.size < MIB
        unit = "files/s" if small else "MiB/s"
        lines += [
            f"### {workload}",
            "",
            f"| client | up, {unit} | of raw | x boto3 | processor | down, {unit} | of raw | x boto3 | "
            "processor | peak memory |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for contender in ("raw TCP", *(SMALL if small else LARGE)):
            mine = [figure for figure in rows if figure.contender == contender]
            if not mine:
                continue
            memory = max(figure.memory for figure in mine) // MIB
            cells = [contender, *_cells(rows, contender, up=True), *_cells(rows, contender, up=False)]
            lines.append("| " + " | ".join([*cells, f"{memory} MiB" if memory else "-"]) + " |")
        lines.append("")
    return lines


def _cells(rows: list[Figure], contender: str, *, up: bool) -> list[str]:
    def rate(name: str) -> float:
        found = [figure for figure in rows if figure.contender == name and figure.up == up]
        if not found:
            return 0.0
        work = found[0].workload
        done = work.count if work.size < MIB else work.count * work.size / MIB
        return done / statistics.median(figure.seconds for figure in found)

    mine = [figure for figure in rows if figure.contender == contender and figure.up == up]
    if not mine:
        return ["-", "-", "-", "-"]
    own, raw, boto3 = rate(contender), rate("raw HTTP x 1"), rate("boto3")
    processor = statistics.median(figure.processor for figure in mine)
    return [
        f"{own:.0f}",
        f"{own / raw:.0%}" if raw else "-",
        f"{own / boto3:.1f}" if boto3 else "-",
        f"{processor:.1f} s" if processor else "-",
    ]


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
    parser.add_argument("--keep", type=Path, help="also append each figure to this file as a line of JSON")
    options = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory(prefix="slipway-bench-", dir=options.folder) as name:
        for figure in measured(Path(name), options.scale, options.repeats):
            figures.append(figure)
            if options.keep:
                with options.keep.open("a") as file:
                    file.write(figure.model_dump_json() + "\n")
    put_into(PAGE, section(figures, filesystem(options.folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
