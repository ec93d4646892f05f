"""Which cells count as missing. An empty cell always does; spaces around a word have no meaning."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tabular.numbers import BLANKS, Numbers, is_number, resembles_number, why_odd
from tabular.table_error import TableError, shown


class Missing:
    """The words for missing of one file."""

    def __init__(self, words: Iterable[str]) -> None:
        """Take the words of `ReadOptions.missing`."""
        self._words = frozenset(word.strip(BLANKS) for word in (*words, ""))
        # A word such as -999 is a number, so it is looked for in columns of numbers by its value.
        self._numbers = [float(word) for word in self._words if is_number(word)]

    def __str__(self) -> str:
        return " ".join(repr(word) for word in sorted(self._words))

    def is_text(self, text: str) -> bool:
        """Whether a cell of text is missing."""
        return text.strip(BLANKS) in self._words

    def is_cell(self, text: str) -> bool:
        """Whether a cell of a column of numbers is missing."""
        return self.is_text(text) or (is_number(text) and float(text) in self._numbers)

    def odd(self, numbers: Numbers) -> NDArray[np.int64]:
        """Cells that have to be looked at: those that aren't numbers, and words that are."""
        if not self._numbers:
            return numbers.odd
        return np.union1d(numbers.odd, np.flatnonzero(self.among(numbers.exact)))

    def among(self, exact: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which numbers are words for missing."""
        return np.isin(exact, self._numbers)


def refusal(path: Path, place: str, column: str, why: str, fix: str = "") -> TableError:
    """The refusal of one cell, which names the file, the place in it and the column."""
    return TableError(path, f"{place[:1].upper()}{place[1:]}, column {shown(column)}: {why}", fix)


def missing_cell(path: Path, place: str, column: str, missing: Missing) -> TableError:
    """The refusal of a missing cell."""
    return refusal(
        path,
        place,
        column,
        "The value is missing.",
        f"Fill it, drop the row, or set the words for missing with `--missing`; they are {missing}.",
    )


def odd_cell(path: Path, place: str, column: str, text: str) -> TableError:
    """The refusal of a cell that is not a number where one has to be."""
    why = why_odd(text) if resembles_number(text) else "is not a number"
    return refusal(path, place, column, f"{shown(text)} {why}.", "Correct it or drop the row.")
