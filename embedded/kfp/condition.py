"""The conditions of compiled pipelines: a subset of CEL with CEL's semantics. Pure.

A condition is parsed when its pipeline is uploaded, so an unsupported condition is refused before anything
runs. It is evaluated when its task is due. A condition that can't be evaluated raises an error, which fails
the run.

As in the CEL specification, ints and doubles compare by their mathematical value, every comparison with NaN
is false, and `&&` and `||` are true or false if either side decides it, even if the other is an error.
Stricter than CEL on purpose: comparing values of different types (`'1' == 1`, `null == ''`) is an error
instead of `false`, because in a condition it is always a mistake.

Not detectable here: `dsl.If(flag == 1)` on a boolean compiles to `flag == false`, so the original is lost.
Compare booleans with `True` and `False`.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from embedded.kfp.condition_syntax import (
    COMPARISONS,
    INT_MAX,
    INT_MIN,
    Binary,
    ConditionError,
    Constant,
    Node,
    ParameterReference,
    Scalar,
    Unary,
    parse_tree,
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed condition."""

    text: str
    root: Node

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the parameters it reads."""
        return frozenset(_names(self.root))

    def evaluate(self, parameters: Mapping[str, object]) -> bool:
        """Evaluate the condition; raise ConditionError if the result is not a boolean."""
        value = _evaluate(self.root, parameters)
        if not isinstance(value, bool):
            raise ConditionError(f"condition {self.text!r} is {_kind(value)}, not a boolean")
        return value


def parse(text: str) -> Condition:
    """Parse a condition; raise ConditionError with the position of the first error."""
    return Condition(text, parse_tree(text))


def _names(node: Node) -> set[str]:
    match node:
        case ParameterReference(name):
            return {name}
        case Unary(_, operand):
            return _names(operand)
        case Binary(_, left, right):
            return _names(left) | _names(right)
    return set()


def _evaluate(node: Node, parameters: Mapping[str, object]) -> Scalar:  # noqa: PLR0911 - one per kind of node
    match node:
        case Constant(value):
            return _checked(value)
        case ParameterReference(name):
            return _read(name, parameters)
        case Unary("-", Constant(value)):
            return _negate(value)
        case Unary(op, operand):
            return _UNARY[op](_evaluate(operand, parameters))
        case Binary("&&", left, right):
            return _decide(left, right, parameters, decisive=False)
        case Binary("||", left, right):
            return _decide(left, right, parameters, decisive=True)
        case Binary(op, left, right):
            return _compare(op, _evaluate(left, parameters), _evaluate(right, parameters))


def _read(name: str, parameters: Mapping[str, object]) -> Scalar:
    if name not in parameters:
        raise ConditionError(f"parameter {name!r} has no value")
    value = parameters[name]
    if not isinstance(value, bool | int | float | str):
        raise ConditionError(
            f"parameter {name!r} is {_kind(value)}: only a boolean, number or string compares"
        )
    return _checked(value)


def _checked(value: Scalar) -> Scalar:
    if isinstance(value, int) and not isinstance(value, bool) and not INT_MIN <= value <= INT_MAX:
        raise ConditionError(f"{value} is outside the range of an int")
    return value


def _decide(left: Node, right: Node, parameters: Mapping[str, object], *, decisive: bool) -> bool:
    """CEL's `&&` (decisive False) and `||` (decisive True): a decisive side overrides an error."""
    first_error: ConditionError | None = None
    for side in (left, right):
        try:
            value = _boolean(_evaluate(side, parameters))
        except ConditionError as error:
            first_error = first_error or error
            continue
        if value is decisive:
            return decisive
    if first_error is not None:
        raise first_error
    return not decisive


def _compare(op: str, left: Scalar, right: Scalar) -> bool:
    if _kind(left) != _kind(right) and not {_kind(left), _kind(right)} <= {"an int", "a double"}:
        raise ConditionError(f"{_kind(left)} can't be compared with {_kind(right)} by {op}")
    return COMPARISONS[op](left, right)


def _boolean(value: Scalar) -> bool:
    if not isinstance(value, bool):
        raise ConditionError(f"expected a boolean, found {_kind(value)}")
    return value


def _negate(value: Scalar) -> Scalar:
    if isinstance(value, bool | str):
        raise ConditionError(f"minus can't be applied to {_kind(value)}")
    return _checked(-value)


def _to_int(value: Scalar) -> int:
    if isinstance(value, bool):
        raise ConditionError("int() can't be applied to a boolean")
    if isinstance(value, str):
        if not re.fullmatch(r"[+-]?\d+", value, re.ASCII) or len(value) > 20:
            raise ConditionError(f"int() can't read {value[:40]!r}")
        value = int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConditionError(f"int() can't be applied to {value}")
        value = math.trunc(value)
    return int(_checked(value))


def _to_double(value: Scalar) -> float:
    if isinstance(value, bool):
        raise ConditionError("double() can't be applied to a boolean")
    if isinstance(value, str) and not re.fullmatch(
        r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?(NaN|Inf|Infinity)", value, re.ASCII
    ):
        raise ConditionError(f"double() can't read {value[:40]!r}")
    return float(value)


_UNARY: Final[dict[str, Callable[[Scalar], Scalar]]] = {
    "!": lambda value: not _boolean(value),
    "-": _negate,
    "int": _to_int,
    "double": _to_double,
}


_KINDS: Final = (
    (bool, "a boolean"),  # before int, of which it is a subclass
    (int, "an int"),
    (float, "a double"),
    (str, "a string"),
    (list, "a list"),
    (type(None), "null"),
)


def _kind(value: object) -> str:
    return next((words for kind, words in _KINDS if isinstance(value, kind)), "a map")
