"""Which cells count as missing. An empty cell always does; spaces around a value are ignored."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tabular.numbers import BLANKS, Numbers, is_number, resembles_number, why_odd
from tabular.table_error import TableError, shown


class Missing:
    """The values that count as missing in a file."""

    def __init__(self, words: Iterable[str]) -> None:
        """Use the values of `ReadOptions.missing`."""
        self._words = frozenset(word.strip(BLANKS) for word in (*words, ""))
        # A value such as -999 is compared as a number in numeric columns.
        self._numbers = [float(word) for word in self._words if is_number(word)]

    def __str__(self) -> str:
        return " ".join(repr(word) for word in sorted(self._words))

    def is_text(self, text: str) -> bool:
        """Whether a text cell is missing."""
        return text.strip(BLANKS) in self._words

    def is_cell(self, text: str) -> bool:
        """Whether a cell of a numeric column is missing."""
        return self.is_text(text) or (is_number(text) and float(text) in self._numbers)

    def odd(self, numbers: Numbers) -> NDArray[np.int64]:
        """Indexes of the cells that are not numbers, or are numbers that count as missing."""
        if not self._numbers:
            return numbers.odd
        return np.union1d(numbers.odd, np.flatnonzero(self.among(numbers.exact)))

    def among(self, exact: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which numbers count as missing."""
        return np.isin(exact, self._numbers)


def refusal(path: Path, place: str, column: str, why: str, fix: str = "") -> TableError:
    """The error for one cell; it names the file, the place in it and the column."""
    return TableError(path, f"{place[:1].upper()}{place[1:]}, column {shown(column)}: {why}", fix)


def missing_cell(path: Path, place: str, column: str, missing: Missing) -> TableError:
    """The error for a missing cell."""
    return refusal(
        path,
        place,
        column,
        "The value is missing.",
        f"Fill it, remove the row, or set what counts as missing with `--missing`; it is {missing}.",
    )


def odd_cell(path: Path, place: str, column: str, text: str) -> TableError:
    """The error for a cell that must be a number and is not."""
    why = why_odd(text) if resembles_number(text) else "is not a number"
    return refusal(path, place, column, f"{shown(text)} {why}.", "Correct it or remove the row.")
