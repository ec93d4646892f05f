"""Open a file as a source of batches, by what its first bytes say it is."""

from collections.abc import Collection
from pathlib import Path

from tabular.csv_file import CsvFile
from tabular.encoding import format_of
from tabular.header import HEAD_BYTES
from tabular.limits import MAX_BYTES
from tabular.parquet_file import ParquetFile
from tabular.table_error import TableError

Source = CsvFile | ParquetFile


def open_source(path: Path, expected: Collection[str], text: Collection[str] = ()) -> Source:
    """Open a CSV or Parquet file.

    Args:
        path: The file; its name says nothing.
        expected: Names of columns that it should have, by which a CSV file's delimiter is told.
        text: Columns that are text even if a typed file holds numbers.

    Raises:
        TableError: It is not such a file, or its header breaks the rules.
    """
    try:
        if not path.is_file():
            raise TableError(path, "There is no such file." if not path.exists() else "It is not a file.")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise TableError(path, f"It has {size >> 20} MiB; the limit is {MAX_BYTES >> 20} MiB.")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise TableError(path, f"It can't be read: {error.strerror}.") from error
    if not head:
        raise TableError(path, "It is empty.")
    if format_of(path, head) == "parquet":
        return ParquetFile(path, text)
    return CsvFile(path, head, expected)
