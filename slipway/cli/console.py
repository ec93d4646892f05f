"""Output of the command line: progress to standard error, results to standard output.

On a terminal, progress is one live line with a clock; elsewhere it is plain lines, readable in a CI log.
Results are tables for people or, with `--json`, one document for machines.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from slipway.core.errors import SlipwayError, StoreError
from slipway.core.report import Report

PIPE_WIDTH = 200
"""Columns of a table if standard output is not a terminal, and so has no width of its own."""

out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Console(stderr=True, soft_wrap=True, highlight=False)


@contextmanager
def phase(title: str) -> Iterator[Report]:
    """Show that a phase is running, what it is doing and, at its end, how long it took.

    Yields the reporter that the phase's work calls with each line of progress.
    """
    started = time.monotonic()
    if not err.is_terminal:
        err.print(f"▸ {title}", markup=False)

        def plain(line: str) -> None:
            err.print(f"  {time.monotonic() - started:6.1f} s  {line}", markup=False)

        yield plain
        err.print(f"  {time.monotonic() - started:6.1f} s  {title}: done", markup=False)
        return
    with err.status(Text(title)) as status:

        def live(line: str) -> None:
            status.update(Text(f"{title}: {line} ({time.monotonic() - started:.0f} s)"))

        yield live
    err.print(Text("✓", style="green"), f"{title} ({time.monotonic() - started:.1f} s)", markup=False)


def give_up_output() -> None:
    """Discard the rest of standard output: Python would write it at its exit, and fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_error(error: SlipwayError, *, as_json: bool) -> None:
    """Print what went wrong, why, and what to do; to standard output only as JSON."""
    if as_json:
        document = {"error": error.what, "why": error.why, "fix": error.fix}
        if isinstance(error, StoreError):
            document["cause"] = error.cause
        out.print_json(json.dumps(document))
        return
    err.print(Text(error.what, style="bold red"))
    if error.why:
        err.print(error.why, markup=False)
    if error.fix:
        err.print(Text("→ ", style="bold") + Text(error.fix))


def show_model(model: BaseModel) -> None:
    """Print a model as JSON for machines."""
    sys.stdout.write(model.model_dump_json(indent=2) + "\n")


def show_json(document: object) -> None:
    """Print any plain document as JSON for machines."""
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """Print rows under columns for people."""
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        # Folded, never cut: an id that ends in an ellipsis can't be copied.
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    out.print(table)


def show_pairs(pairs: Sequence[tuple[str, object]], *, title: str = "") -> None:
    """Print names and values, one pair a line."""
    if title:
        out.print(Text(title, style="bold"))
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        out.print(f"  {name:<{width}}  {value}", markup=False)
