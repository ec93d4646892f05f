"""The syntax of conditions: a subset of CEL, parsed into a tree. Pure."""

import operator
import re
from collections.abc import Callable
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
COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
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


def parse_tree(text: str) -> Node:
    """Parse a condition to its tree; raise ConditionError with the position of the first error."""
    parser = _Parser(text)
    root = parser.disjunction(0)
    parser.end()
    return root


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
        while self._peek()[1] in COMPARISONS and self._peek()[0] == "sign":
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
    if value > INT_MAX + 1:
        raise ConditionError(f"{text} is outside the range of an int")
    return value
