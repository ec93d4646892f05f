"""When two ways to write a value mean the same to the API server. Pure."""

import base64
import binascii
import re
from decimal import Decimal
from typing import Any, Final

from embedded.plugins.kubernetes.values import UNKNOWN, Path, Value

_QUANTITY: Final = re.compile(r"^([+-]?\d*\.?\d+)(?:([eE][+-]?\d+)|([numkMGTPE]|[KMGTPE]i))?$")
_SCALE: Final = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
    "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip
_HOLDS_QUANTITIES: Final = frozenset(
    {"requests", "limits", "capacity", "hard", "default", "defaultRequest", "max", "min", "overhead"}
)
_IS_QUANTITY: Final = frozenset({"sizeLimit", "divisor"})


def quantity(text: Value) -> Decimal | None:
    """Return the amount that a quantity stands for, or None if it is no quantity."""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return None
    match = _QUANTITY.match(str(text).strip())
    if not match:
        return None
    number, exponent, suffix = match.groups()
    return Decimal(number + (exponent or "")) * _SCALE[suffix or ""]


def same(path: Path, one: Value, other: Value) -> bool:
    """Tell whether two scalars at `path` are the same to the server."""
    if one is UNKNOWN or other is UNKNOWN:
        return False
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if one == other:
        return True
    if _is_quantity(path):
        amount = quantity(one)
        return amount is not None and amount == quantity(other)
    return isinstance(one, str) and isinstance(other, str) and _same_bytes(one, other)


def is_nothing(value: Value) -> bool:
    """Tell whether the server may leave the value out of what it stores: zero, or made of zeros."""
    if isinstance(value, dict):
        return all(is_nothing(item) for item in value.values())
    return value is None or value is False or value in ("", 0, [])


def without_none(value: Value) -> Value:
    """Drop fields that are null: the SDK writes them for arguments left out."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_none(item) for item in value]
    return value


def folded(properties: dict[str, Any]) -> dict[str, Any]:
    """Turn a Secret's `stringData` into `data`, which is what the server stores and gives back."""
    if properties.get("kind") != "Secret" or ("data" not in properties and "stringData" not in properties):
        return properties
    rest = {key: value for key, value in properties.items() if key != "stringData"}
    texts, data = properties.get("stringData"), properties.get("data")
    if texts is UNKNOWN or data is UNKNOWN:
        return {**rest, "data": UNKNOWN}
    merged = {key: _compact(value) for key, value in (data or {}).items()}
    merged |= {key: _base64(value) for key, value in (texts or {}).items()}
    return {**rest, "data": merged}


def _base64(value: Value) -> Value:
    return base64.b64encode(value.encode()).decode() if isinstance(value, str) else value


def _compact(value: Value) -> Value:
    return "".join(value.split()) if isinstance(value, str) else value


def _is_quantity(path: Path) -> bool:
    names = [step for step in path if isinstance(step, str)]
    return bool(names) and (names[-1] in _IS_QUANTITY or any(n in _HOLDS_QUANTITIES for n in names[-2:-1]))


def _same_bytes(one: str, other: str) -> bool:
    # A byte field may be wrapped at 64 columns; the server gives it back in one line.
    if not any(character.isspace() for character in one + other):
        return False
    a, b = _compact(one), _compact(other)
    if a != b:
        return False
    try:
        base64.b64decode(a, validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(a) > 64
