"""What counts as a number: plain decimal notation, with the value that Python's `float` returns.

ASCII digits with an optional sign, decimal point and exponent; surrounding spaces are ignored. The value
must be finite as float32, the type of a model's inputs.
"""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

BLANKS: Final = " \t"
"""Characters that are ignored around a number, a name or a missing value."""
_PLAIN: Final = rf"^[{BLANKS}]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[{BLANKS}]*$"
_PLAIN_RE: Final = re.compile(_PLAIN.replace("$", r"\Z"))
_DECIMAL_COMMA: Final = re.compile(r"\s*[+-]?\d{1,3}(?:[.\s']?\d{3})*,\d+\s*\Z|\s*[+-]?\d+,\d+\s*\Z")
_THOUSANDS: Final = re.compile(r"\s*[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?\s*\Z")


@dataclass(frozen=True)
class Numbers:
    """A column parsed as numbers."""

    exact: NDArray[np.float64]
    """The values of `float`; undefined for the cells in `odd`."""
    values: NDArray[np.float32]
    """The values as model inputs; -0.0 becomes 0.0."""
    odd: NDArray[np.int64]
    """Indexes of the cells that are not numbers, in order."""


def is_number(text: str) -> bool:
    """Whether a cell is a number."""
    return bool(_PLAIN_RE.match(text)) and bool(np.isfinite(_float32(np.float64(text))))


def resembles_number(text: str) -> bool:
    """Whether a cell that is not a number was probably meant as one: `nan`, `1e309`, `1_000`, `1,5`."""
    try:
        float(text)
    except ValueError:
        return bool(_DECIMAL_COMMA.match(text) or _THOUSANDS.match(text))
    return True


def why_odd(text: str) -> str:
    """Why a cell that resembles a number isn't one, as a predicate for a message."""
    if _PLAIN_RE.match(text):
        return "is outside the range of float32"
    if _DECIMAL_COMMA.match(text) or _THOUSANDS.match(text):
        return "has a comma; use a decimal point and no thousands separator"
    if not text.isascii():
        return "is not written in the digits 0 to 9"
    return "is not a finite number in plain decimal notation"


def parse(column: pa.Array) -> Numbers:
    """Parse a column of text, or of float64 from a typed file, where a null is not a number."""
    exact = _cast(column)
    if exact is None:
        plain = pc.match_substring_regex(column, _PLAIN)
        trimmed = pc.utf8_trim(pc.if_else(plain, column, pa.scalar(None, column.type)), characters=BLANKS)
        exact = pc.cast(trimmed, pa.float64()).to_numpy(zero_copy_only=False)
    values = _float32(exact)
    odd = np.flatnonzero(~np.isfinite(values))
    values += np.float32(0)
    return Numbers(exact=exact, values=values, odd=odd)


def _cast(column: pa.Array) -> NDArray[np.float64] | None:
    """Cast the whole column; None if a cell is not a finite number in Arrow's notation."""
    if pa.types.is_floating(column.type):
        return np.array(column.to_numpy(zero_copy_only=False), dtype=np.float64)
    try:
        exact = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    return exact if np.isfinite(exact).all() else None


def _float32(exact: NDArray[np.float64] | np.float64) -> NDArray[np.float32]:
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(exact).astype(np.float32)
