"""Kubernetes quantities in their canonical form. Pure.

The API server and KServe's webhook rewrite `1000m` to `1` and `0.5Gi` to `512Mi`, so that quantities must
be canonical to be compared as text.
https://pkg.go.dev/k8s.io/apimachinery/pkg/api/resource#Quantity
"""

import re
from decimal import Decimal
from typing import Final

PATTERN: Final = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
_UNITS: Final = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    **{name: Decimal(1000) ** power for power, name in enumerate("kMGT", 1)},
    **{f"{name}i": Decimal(1024) ** power for power, name in enumerate("KMGT", 1)},
}
_DECIMAL: Final = ("T", "G", "M", "k", "", "m")
_BINARY: Final = ("Ti", "Gi", "Mi", "Ki", "", "m")


def value(text: str) -> Decimal:
    """Return the number that a quantity represents."""
    match = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", text)
    assert match, text
    return Decimal(match[1]) * _UNITS[match[2]]


def canonical(text: str) -> str:
    """Return the same quantity with the largest unit of its kind that gives an integer.

    Raises:
        ValueError: It is not a multiple of 1/1000.
    """
    number = value(text)
    for unit in _BINARY if text.endswith("i") else _DECIMAL:
        count = number / _UNITS[unit]
        if count == count.to_integral_value() and (count or not unit):
            return f"{int(count)}{unit}"
    raise ValueError(f"{text} is not a multiple of 1/1000")


def at_least(minimum: str, text: str) -> str:
    """Return the canonical form of a quantity that is at least `minimum`.

    Raises:
        ValueError: It is below the minimum, or not a multiple of 1/1000.
    """
    if value(text) < value(minimum):
        raise ValueError(f"{text} is below {minimum}, the minimum for a model server")
    return canonical(text)
