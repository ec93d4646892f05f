"""Rows to predict: the columns of a file are matched with the model's features by name, not by position."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from tabular.missing import Missing, missing_cell, odd_cell
from tabular.numbers import parse
from tabular.schema import Feature, TableSchema
from tabular.source import open_source
from tabular.table_error import TableError, some


class RowFile:
    """A CSV or Parquet file with the features of a model."""

    def __init__(self, path: Path, schema: TableSchema) -> None:
        """Compare the names of the columns with the model's.

        Raises:
            TableError: The file can't be read, or a column is missing or unknown to the model.
        """
        self._features = schema.features
        self._missing = Missing(schema.read.missing)
        names = {each.name for each in schema.features}
        self._source = open_source(path, names, text=schema.categorical)
        self._path = path
        left_out = {schema.read.target, *schema.read.drop} - names
        self.ignored = tuple(name for name in self._source.names if name in left_out)
        """Columns of the file that training did not use: the target and dropped columns."""
        if absent := [each.name for each in schema.features if each.name not in self._source.names]:
            raise TableError(
                path,
                f"The model needs {_columns(absent)}; the file has {some(self._source.names)}.",
                "Name the columns in the header as in the training data; their order is ignored.",
            )
        if surplus := [name for name in self._source.names if name not in names | left_out]:
            raise TableError(
                path,
                f"The model does not have {_columns(surplus)}; it has "
                f"{some([each.name for each in schema.features])}.",
                "Remove them from the file.",
            )
        self._source.check_types(tuple(each.name for each in schema.features))
        for each in schema.features:
            if each.kind == "number" and self._source.is_text(each.name):
                raise TableError(path, f"Column {each.name!r} is text; the model was trained on numbers.")
        self.unknown: Counter[str] = Counter()
        """Categorical feature -> number of cells with a value that is not in the training rows."""

    def check(self) -> int:
        """Read the whole file and return its number of rows; raises TableError as `batches` does."""
        return sum(batch.num_rows for batch in self.batches())

    def batches(self) -> Iterator[pa.Table]:
        """The features in the order of the model, numbers as float32 and categories as text.

        Raises:
            TableError: A cell is missing or not a number, or there are no rows.
        """
        self.unknown.clear()
        rows = 0
        for batch in self._source.batches():
            if batch.num_rows:
                columns = [self._column(each, batch[each.name], rows) for each in self._features]
                yield pa.table(columns, names=[each.name for each in self._features])
                rows += batch.num_rows
        if rows == 0:
            raise TableError(self._path, "It has a header and no rows.")

    def _column(self, feature: Feature, column: pa.Array, rows: int) -> pa.Array:
        if feature.kind == "number":
            return self._numbers(feature.name, column, rows)
        counts = {each["values"]: each["counts"] for each in pc.value_counts(column).to_pylist()}
        for text in counts:
            if self._missing.is_text(text):
                raise self._missing_cell(feature.name, rows + pc.index(column, text).as_py())
        known = set(feature.categories)
        unknown = sum(count for text, count in counts.items() if text not in known)
        if unknown:
            self.unknown[feature.name] += unknown
        return column

    def _numbers(self, name: str, column: pa.Array, rows: int) -> pa.Array:
        numbers = parse(column)
        odd = self._missing.odd(numbers)
        if len(odd):
            first = int(odd[0])
            cell = column[first].as_py()
            text = str(cell)
            if cell is None or text == "nan" or self._missing.is_cell(text):
                raise self._missing_cell(name, rows + first)
            raise odd_cell(self._path, self._source.place(rows + first), name, text)
        return pa.array(numbers.values)

    def _missing_cell(self, name: str, row: int) -> TableError:
        return missing_cell(self._path, self._source.place(row), name, self._missing)


def _columns(names: list[str]) -> str:
    return f"the column{'s' * (len(names) > 1)} {some(names)}"
