"""A Parquet file in batches: numbers stay numbers, other supported types become text."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from tabular.header import check_names
from tabular.table_error import TableError, shown

BATCH_ROWS: Final = 1 << 16


class ParquetFile:
    """A Parquet file whose footer has been read."""

    def __init__(self, path: Path, text: Collection[str] = ()) -> None:
        """Read the footer; raises TableError. The columns named in `text` are converted to text."""
        self.path = path
        self._text = frozenset(text)
        try:
            with parquet.ParquetFile(path) as file:
                schema = file.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise TableError(path, f"It is a damaged Parquet file: {_first_line(error)}") from error
        self.names = tuple(name.strip() for name in schema.names)
        check_names(path, self.names)
        self._types = dict(zip(self.names, schema.types, strict=True))

    def check_types(self, names: tuple[str, ...]) -> None:
        """Raise TableError if one of the columns is neither a number nor text."""
        for name in names:
            kind = self._types[name]
            if not (_is_number(kind) or _is_text(kind)):
                raise TableError(
                    self.path,
                    f"Column {shown(name)} has the type {kind}; only numbers and text are supported.",
                    f"Convert it to a number or text, or exclude it with `--drop {name}`.",
                )

    def is_text(self, name: str) -> bool:
        """Whether the file declares the column as text; text is never parsed as numbers."""
        return _is_text(self._types[name])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, in order; numbers as float64 with null for a missing value, other types as text.

        Raises:
            TableError: The file is damaged.
        """
        try:
            with parquet.ParquetFile(self.path) as file:
                for batch in file.iter_batches(BATCH_ROWS):
                    columns = [
                        _plain(column, as_text=name in self._text)
                        for name, column in zip(self.names, batch.columns, strict=True)
                    ]
                    yield pa.RecordBatch.from_arrays(columns, names=list(self.names))
        except (pa.ArrowException, OSError) as error:
            raise TableError(self.path, f"It is a damaged Parquet file: {_first_line(error)}") from error

    def place(self, row: int) -> str:
        """Position of a row (counted from 0) for a message."""
        return f"row {row + 1}"


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def _plain(column: pa.Array, *, as_text: bool) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.dictionary_decode(), as_text=as_text)
    if _is_number(kind) and not as_text:
        return pc.cast(column, pa.float64(), safe=False)
    if not (_is_number(kind) or _is_text(kind)):
        return pa.nulls(len(column), pa.string())
    return pc.fill_null(pc.cast(column, pa.string()), "")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
