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
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Scalar = bool | int | float | str

_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<raw>[rR](?:'[^'\n]*'|"[^"\n]*"))
    | (?P<string>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
    | (?P<double>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
    | (?P<int>0[xX][0-9a-fA-F]+|\d+)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>&&|\|\||==|!=|<=|>=|[<>!()\[\].\-])
    )""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(
    r"\\(x[0-9a-fA-F]{2}|X[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)", re.S
)
_PLAIN_ESCAPES: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?",
}  # fmt: skip
_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_INT_MIN: Final = -(2**63)
_INT_MAX: Final = 2**63 - 1
_MAX_DEPTH: Final = 100
"""Limit of nesting; the compiler's If/Elif chains are far below it."""


class ConditionError(ValueError):
    """A condition that can't be parsed or evaluated."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A value written in the condition."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class ParameterReference:
    """`inputs.parameter_values['name']`."""

    name: str


@dataclass(frozen=True, slots=True)
class Unary:
    """`!x`, `-x`, `int(x)` or `double(x)`."""

    op: str
    operand: "Node"


@dataclass(frozen=True, slots=True)
class Binary:
    """A comparison, `&&` or `||`."""

    op: str
    left: "Node"
    right: "Node"


Node = Constant | ParameterReference | Unary | Binary


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
    parser = _Parser(text)
    root = parser.disjunction(0)
    parser.end()
    return Condition(text, root)


class _Parser:
    """Recursive descent over the tokens of one condition."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0

    def disjunction(self, depth: int) -> Node:
        node = self._conjunction(depth)
        while self._accept("||"):
            node = Binary("||", node, self._conjunction(depth))
        return node

    def end(self) -> None:
        if self._next < len(self._tokens):
            raise self._error("unexpected")

    def _conjunction(self, depth: int) -> Node:
        node = self._relation(depth)
        while self._accept("&&"):
            node = Binary("&&", node, self._relation(depth))
        return node

    def _relation(self, depth: int) -> Node:
        node = self._unary(depth)
        while self._peek()[1] in _ORDER and self._peek()[0] == "sign":
            op = self._take()[1]
            node = Binary(op, node, self._unary(depth))
        return node

    def _unary(self, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise ConditionError(f"condition is nested deeper than {_MAX_DEPTH}")
        for op in ("!", "-"):
            if self._accept(op):
                return Unary(op, self._unary(depth + 1))
        return self._primary(depth)

    def _primary(self, depth: int) -> Node:
        if self._accept("("):
            node = self.disjunction(depth + 1)
            self._expect(")")
            return node
        kind, token = self._take()
        match kind:
            case "int":
                return Constant(_integer(token, 16 if token[:2] in ("0x", "0X") else 10))
            case "double":
                return Constant(float(token))
            case "raw":
                return Constant(token[2:-1])
            case "string":
                return Constant(_unescape(token[1:-1]))
            case "word":
                return self._word(token, depth)
        self._next -= 1
        raise self._error("unexpected")

    def _word(self, word: str, depth: int) -> Node:
        if word in ("true", "false"):
            return Constant(word == "true")
        if word in ("int", "double"):
            self._expect("(")
            node = self.disjunction(depth + 1)
            self._expect(")")
            return Unary(word, node)
        if word == "inputs":
            self._expect(".")
            self._expect("parameter_values")
            self._expect("[")
            kind, token = self._take()
            if kind != "string":
                self._next -= 1
                raise self._error("expected a quoted parameter name, found")
            self._expect("]")
            return ParameterReference(_unescape(token[1:-1]))
        self._next -= 1
        raise self._error("unsupported")

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self._next += 1
        return token

    def _accept(self, sign: str) -> bool:
        if self._peek() == ("sign", sign):
            self._next += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        kind, token = self._peek()
        if token != text or kind not in ("sign", "word"):
            raise self._error(f"expected {text!r}, found")
        self._next += 1

    def _error(self, why: str) -> ConditionError:
        token = self._peek()[1]
        position = repr(token) if token else "the end"
        return ConditionError(f"condition {self._text!r}: {why} {position}")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise ConditionError(f"condition {text!r}: syntax error at character {position + 1}")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return tokens


def _unescape(body: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code in _PLAIN_ESCAPES:
            return _PLAIN_ESCAPES[code]
        if len(code) == 1:
            raise ConditionError(f"unknown escape \\{code} in a string of the condition")
        number = int(code, 8) if code.isdigit() and len(code) == 3 else int(code[1:], 16)
        if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
            raise ConditionError(f"escape \\{code} is not a character")
        return chr(number)

    return _ESCAPE.sub(one, body)


def _integer(text: str, base: int = 10) -> int:
    # -2^63 is parsed as a minus and 2^63, so the largest int plus one is accepted here;
    # _negate and _checked enforce the range.
    value = int(text, base)
    if value > _INT_MAX + 1:
        raise ConditionError(f"{text} is outside the range of an int")
    return value


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
    if isinstance(value, int) and not isinstance(value, bool) and not _INT_MIN <= value <= _INT_MAX:
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
    return _ORDER[op](left, right)


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
