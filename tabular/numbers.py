"""What counts as a number: plain decimal notation, with the value that Python's `float` gives it.

Digits are those of ASCII; a sign, a point and an exponent are taken, and spaces around. The value must be
finite as float32, which is what a model is trained on and asked with.
"""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

BLANKS: Final = " \t"
"""What may stand around a number, a name or a missing value without meaning."""
_PLAIN: Final = rf"^[{BLANKS}]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[{BLANKS}]*$"
_PLAIN_RE: Final = re.compile(_PLAIN.replace("$", r"\Z"))
_DECIMAL_COMMA: Final = re.compile(r"\s*[+-]?\d{1,3}(?:[.\s']?\d{3})*,\d+\s*\Z|\s*[+-]?\d+,\d+\s*\Z")
_THOUSANDS: Final = re.compile(r"\s*[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?\s*\Z")


@dataclass(frozen=True)
class Numbers:
    """A column read as numbers."""

    exact: NDArray[np.float64]
    """As `float` reads the text; no meaning where the cell is odd."""
    values: NDArray[np.float32]
    """As a model sees them; -0.0 is 0.0."""
    odd: NDArray[np.int64]
    """Which cells are not numbers by the rule, in order."""


def is_number(text: str) -> bool:
    """Whether one cell is a number by the rule."""
    return bool(_PLAIN_RE.match(text)) and bool(np.isfinite(_float32(np.float64(text))))


def resembles_number(text: str) -> bool:
    """Whether a cell that is not a number was probably meant as one: `nan`, `1e309`, `1_000`, `1,5`."""
    try:
        float(text)
    except ValueError:
        return bool(_DECIMAL_COMMA.match(text) or _THOUSANDS.match(text))
    return True


def why_odd(text: str) -> str:
    """Why a cell that resembles a number isn't one, as the end of a sentence."""
    if _PLAIN_RE.match(text):
        return "lies beyond the range of float32"
    if _DECIMAL_COMMA.match(text) or _THOUSANDS.match(text):
        return "has a comma; write a decimal point, and no separator of thousands"
    if not text.isascii():
        return "is not written in the digits 0 to 9"
    return "is not a finite number in plain decimal notation"


def parse(column: pa.Array) -> Numbers:
    """Read a column of text (or of float64, from a typed file; a null is an odd cell)."""
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
    """Cast in one go, or None if a cell needs a closer look."""
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
