"""A person's file of rows: refused, or read for a summary, before a platform is asked.

A refusal imports as little as can be: numpy and pyarrow only where there is something to read.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from tabular.schema import ReadOptions, Split

if TYPE_CHECKING:
    from tabular.summary import Summary

__all__ = ["Summary", "inspect", "require_table"]


def require_table(path: Path) -> None:
    """Refuse what is not the text or the Parquet file of a table.

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
