"""Open a file as a source of batches, in the format that its first bytes show."""

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
        path: The file; its name is ignored.
        expected: Names of columns that it should have; they determine a CSV file's delimiter.
        text: Columns to read as text even if a typed file stores numbers.

    Raises:
        TableError: It is not such a file, or its header is not valid.
    """
    try:
        if not path.is_file():
            raise TableError(path, "There is no such file." if not path.exists() else "It is not a file.")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise TableError(path, f"Its size is {size >> 20} MiB; the limit is {MAX_BYTES >> 20} MiB.")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise TableError(path, f"It can't be read: {error.strerror}.") from error
    if not head:
        raise TableError(path, "It is empty.")
    if format_of(path, head) == "parquet":
        return ParquetFile(path, text)
    return CsvFile(path, head, expected)
