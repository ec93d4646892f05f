"""The section on transfers of the benchmark page: figures and tables."""

import datetime
import os
import platform
import statistics
from collections import Counter
from pathlib import Path

from pydantic import BaseModel

MIB = 1 << 20
CONTENDERS = ("Slipway", "Slipway, SHA-256 known", "awscrt", "boto3 by the CRT", "boto3", "minio")


class Workload(BaseModel):
    """A number of files of the same size."""

    name: str
    count: int
    size: int


class Figure(BaseModel):
    """One transfer by one client."""

    workload: Workload
    contender: str
    up: bool
    seconds: float
    processor: float
    """CPU time in seconds, without the store."""

    memory: int
    """Peak memory of the process in bytes; 0 if it was not measured."""


def filesystem(folder: Path) -> str:
    """The file system of a folder, which affects the figures: tmpfs with or without huge pages, or a disk."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    _, _, kind, options, *_ = max(
        (mount for mount in mounts if folder.resolve().is_relative_to(mount[1])),
        key=lambda mount: len(mount[1]),
    )
    huge = ", huge pages" if "huge=always" in options.split(",") else ""
    return f"memory ({kind}{huge})" if kind == "tmpfs" else kind


def section(figures: list[Figure], where: str) -> list[str]:
    """Render the section."""
    rounds = max(Counter((each.workload.name, each.contender, each.up) for each in figures).values())
    lines = [
        "## Transfers",
        "",
        f"Written by `python -m bench.transfers` on {datetime.date.today().isoformat()}: "
        "a new MinIO on loopback for each turn, "
        f"{os.cpu_count()} cores for both, all files and the store's drive in {where}, "
        f"Linux {platform.release()}, Python {platform.python_version()}. "
        f"Load average at the end: {os.getloadavg()[0]:.0f}; "
        f"above {os.cpu_count()}, other work shared the cores.",
        f"Medians of {rounds}; the contenders took turns, in another order each round. *Slipway* is the AWS "
        "CRT with our limits and checks; *awscrt* the same library with its own limits; *boto3* one file "
        "after the other. Each has the memory that its files are cached in before the clock starts.",
        "",
    ]
    for workload in dict.fromkeys(figure.workload.name for figure in figures):
        rows = [figure for figure in figures if figure.workload.name == workload]
        small = rows[0].workload.size < MIB
        unit = "files/s" if small else "MiB/s"
        lines += [
            f"### {workload}",
            "",
            f"| client | up, {unit} | x boto3 | processor | down, {unit} | x boto3 | processor | "
            "peak memory |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for contender in CONTENDERS:
            own_rows = [figure for figure in rows if figure.contender == contender]
            if not own_rows:
                continue
            memory = max(figure.memory for figure in own_rows) // MIB
            cells = [contender, *_cells(rows, contender, up=True), *_cells(rows, contender, up=False)]
            lines.append("| " + " | ".join([*cells, f"{memory} MiB" if memory else "-"]) + " |")
        lines.append("")
    return lines


def _cells(rows: list[Figure], contender: str, *, up: bool) -> list[str]:
    def rate(name: str) -> float:
        figures_of_name = [figure for figure in rows if figure.contender == name and figure.up == up]
        if not figures_of_name:
            return 0.0
        work = figures_of_name[0].workload
        amount = work.count if work.size < MIB else work.count * work.size / MIB
        return amount / statistics.median(figure.seconds for figure in figures_of_name)

    own_rows = [figure for figure in rows if figure.contender == contender and figure.up == up]
    if not own_rows:
        return ["-", "-", "-"]
    own, boto3 = rate(contender), rate("boto3")
    processor = statistics.median(figure.processor for figure in own_rows)
    return [
        f"{own:.0f}",
        f"{own / boto3:.1f}" if boto3 else "-",
        f"{processor:.1f} s" if processor else "-",
    ]
