"""Kubernetes quantities as Kubernetes itself writes them. Pure.

The API server and KServe's webhook rewrite `1000m` to `1` and `0.5Gi` to `512Mi`, so a form that is
compared text by text needs the canonical one.
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
    """The number that a quantity stands for."""
    match = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", text)
    assert match, text
    return Decimal(match[1]) * _UNITS[match[2]]


def canonical(text: str) -> str:
    """The same quantity with the largest unit of its kind that leaves a whole number.

    Raises:
        ValueError: It is finer than a thousandth.
    """
    number = value(text)
    for unit in _BINARY if text.endswith("i") else _DECIMAL:
        count = number / _UNITS[unit]
        if count == count.to_integral_value() and (count or not unit):
            return f"{int(count)}{unit}"
    raise ValueError(f"{text} is finer than a thousandth")


def at_least(least: str, text: str) -> str:
    """Return the canonical form of a quantity that is not below `least`.

    Raises:
        ValueError: It is below, or finer than a thousandth.
    """
    if value(text) < value(least):
        raise ValueError(f"{text} is below {least}, which a model server needs")
    return canonical(text)
