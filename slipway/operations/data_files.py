"""A user's table: refused, or read for a summary, before the platform is contacted.

A refusal imports as little as possible: numpy and pyarrow only if there is something to read.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from tabular.schema import ReadOptions, Split

if TYPE_CHECKING:
    from tabular.summary import Summary

__all__ = ["Summary", "inspect", "require_table"]


def require_table(path: Path) -> None:
    """Refuse a file that is neither a text table nor a Parquet file.

    Raises:
        UsageError: It can't be read, or is something else.
    """
    from tabular.source import open_source  # noqa: PLC0415

    open_source(path, ())


def inspect(path: Path, read: ReadOptions, split: Split) -> "Summary":
    """Return how a pipeline would read a file.

    Raises:
        UsageError: It can't be used; names the line and the column.
    """
    from tabular import reader  # noqa: PLC0415

    return reader.inspect(path, read, split)
