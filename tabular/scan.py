"""One pass over a file, which determines the kind of each column from all of its cells."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabular.columns import Labels, NumberColumn, TextColumn
from tabular.limits import MAX_CATEGORIES, MAX_CLASSES, MAX_ROWS, MAX_TEXT
from tabular.missing import Missing, missing_cell, odd_cell, refusal
from tabular.numbers import Numbers, is_number, parse, resembles_number
from tabular.schema import ReadOptions
from tabular.source import Source
from tabular.split import Codes, Keys, add_column, column_hash, first_keys
from tabular.table_error import TableError, shown, some

Keep = Callable[[dict[str, pa.Array]], None]
"""Called with each batch: float32 and text columns by name."""


class TextInNumbersError(Exception):
    """Columns that were read as numbers contain text: the file must be scanned again."""

    def __init__(self, first_text: Mapping[str, int]) -> None:
        """Store the row of the first text of each column."""
        super().__init__(f"text in {sorted(first_text)}")
        self.first_text = dict(first_text)


class Scan:
    """A pass over the rows of a source, with the statistics of its columns."""

    def __init__(self, source: Source, options: ReadOptions, first_text: Mapping[str, int]) -> None:
        """Prepare a pass that reads the columns of `first_text` as text and the others as numbers."""
        self.source = source
        self.path: Path = source.path
        self.target = options.target
        self.rows = 0
        self.labels = Labels()
        self.numbers: dict[str, NumberColumn] = {}
        self.texts: dict[str, TextColumn] = {}
        self.first_text = dict(first_text)
        self._keys: list[Keys] = []
        self._codes: list[Codes] = []
        self._missing = Missing(options.missing)
        self._text_rows: dict[str, int] = {}
        self._suspect_numbers: dict[str, tuple[int, str]] = {}
        self.features = tuple(n for n in source.names if n != options.target and n not in options.drop)
        for name in self.features:
            if name in self.first_text or source.is_text(name):
                self.texts[name] = TextColumn()
            else:
                self.numbers[name] = NumberColumn()

    def run(self, keep: Keep) -> None:
        """Scan the file.

        Raises:
            TableError: A cell or a column is not valid.
            TextInNumbersError: The file must be scanned again with more columns as text.
        """
        for batch in self.source.batches():
            if batch.num_rows:
                keep(self._take(batch))
                self.rows += batch.num_rows
            if self.rows > MAX_ROWS:
                raise TableError(self.path, f"It has more than {MAX_ROWS:,} rows, the limit.")
            if self._text_rows:
                raise TextInNumbersError(self._text_rows)
        for name, (row, text) in self._suspect_numbers.items():
            raise odd_cell(self.path, self.source.place(row), name, text)

    def take_keys(self) -> Keys:
        """Return the hash of the features of each row, and free the memory that holds them."""
        keys = np.concatenate(self._keys)
        self._keys.clear()
        return keys

    @property
    def codes(self) -> Codes:
        """Class of each row, numbered in the order of the sorted classes."""
        order = sorted(self.labels.codes)
        place = np.zeros(len(order), dtype=np.uint16)
        for index, name in enumerate(order):
            place[self.labels.codes[name]] = index
        return place[np.concatenate(self._codes)] if self._codes else np.zeros(0, dtype=np.uint16)

    def _take(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        labels = batch[self.target]
        codes = self._label_codes(labels)
        keys = first_keys(batch.num_rows)
        columns: dict[str, pa.Array] = {}
        for name in self.features:
            column = batch[name]
            if name in self.texts:
                columns[name] = column
                hashed = self._take_text(name, column, codes)
            else:
                columns[name] = pa.array(self._take_numbers(name, column, codes).values)
                hashed = column_hash(columns[name])
            keys = add_column(keys, hashed)
        columns[self.target] = labels
        self._keys.append(keys)
        self._codes.append(codes)
        return columns

    def _label_codes(self, labels: pa.Array) -> Codes:
        codes = self.labels.add(labels)
        self._refuse_text(self.target, labels, self.labels.codes)
        if codes is None:
            names = list(self.labels.codes)
            if all(is_number(name) for name in names):
                raise regression(self.path, self.target)
            raise TableError(
                self.path,
                f"The target {shown(self.target)} has more than {MAX_CLASSES} classes: {some(names)}.",
                "Choose another column with `--target`, or merge rare classes.",
            )
        return codes

    def _take_text(self, name: str, column: pa.Array, codes: Codes) -> Keys:
        kept = self.texts[name]
        hashed = kept.add(column, codes)
        self._refuse_text(name, column, kept.counts)
        if kept.crowded:
            if name in self.first_text and any(is_number(text) for text in kept.counts):
                row = self.first_text[name]
                raise TableError(
                    self.path,
                    f"Column {shown(name)} contains numbers and text; the first text is in "
                    f"{self.source.place(row)}.",
                    f"Correct it, add it to `--missing`, or exclude the column with `--drop {name}`.",
                )
            raise TableError(
                self.path,
                f"Column {shown(name)} is text with more than {MAX_CATEGORIES} distinct values; "
                f"it may be an identifier: {some(list(kept.counts))}.",
                f"Exclude it with `--drop {name}`, or group its values.",
            )
        return hashed

    def _take_numbers(self, name: str, column: pa.Array, codes: Codes) -> Numbers:
        numbers = parse(column)
        odd = self._missing.odd(numbers)
        if len(odd) and pa.types.is_floating(column.type):
            self._check_number_cells(name, numbers.exact, odd)
        elif len(odd):
            self._check_text_cells(name, column, odd)
        if name not in self._text_rows and name not in self._suspect_numbers:
            self.numbers[name].add(numbers, codes)
        return numbers

    def _check_text_cells(self, name: str, column: pa.Array, odd: NDArray[np.int64]) -> None:
        """Classify cells that aren't plain numbers: missing, text, or numbers in another notation."""
        cells = column.take(pa.array(odd))
        for text in pc.unique(cells).to_pylist():
            first = self.rows + int(odd[pc.index(cells, text).as_py()])
            if self._missing.is_cell(text):
                raise self._missing_cell(name, first)
            if resembles_number(text):
                self._suspect_numbers.setdefault(name, (first, text))
            else:
                self._text_rows.setdefault(name, first)

    def _check_number_cells(self, name: str, exact: NDArray[np.float64], odd: NDArray[np.int64]) -> None:
        """Classify cells of a typed file that are not finite numbers or count as missing."""
        cells = exact[odd]
        missing = np.isnan(cells) | self._missing.among(cells)
        if missing.any():
            raise self._missing_cell(name, self.rows + int(odd[missing][0]))
        self._suspect_numbers.setdefault(name, (self.rows + int(odd[0]), f"{cells[0]:g}"))

    def _refuse_text(self, name: str, column: pa.Array, distinct: Mapping[str, object]) -> None:
        """Raise TableError for missing and overlong cells, given the distinct values of a text column."""
        bad = [text for text in distinct if self._missing.is_text(text)]
        if bad:
            row = min(pc.index(column, text).as_py() for text in bad)
            raise self._missing_cell(name, self.rows + row)
        if long := [text for text in distinct if len(text) > MAX_TEXT]:
            row = self.rows + pc.index(column, long[0]).as_py()
            raise refusal(
                self.path,
                self.source.place(row),
                name,
                f"{len(long[0])} characters; the limit is {MAX_TEXT}.",
            )

    def _missing_cell(self, name: str, row: int) -> TableError:
        return missing_cell(self.path, self.source.place(row), name, self._missing)


def regression(path: Path, target: str) -> TableError:
    """The error for a numeric target with many values."""
    return TableError(
        path,
        f"The target {shown(target)} is numeric with many values, so this is a regression; "
        "only classification is supported.",
        "Group the numbers into classes, or choose another column with `--target`.",
    )
