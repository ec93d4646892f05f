"""Strict YAML: one small document without ambiguous values.

Rejects values that YAML 1.1 parses unexpectedly (`no`, `010`, `1:30`, a date), and what can hide or
multiply content (anchors, aliases, tags, duplicate keys). Every error names file and line.
"""

import math
import re
from pathlib import Path
from typing import Any, Final

import yaml

from slipway.core.errors import UsageError

MAX_BYTES: Final = 256 * 1024
"""Maximum size of a file; larger ones are rejected before they are parsed."""
MAX_DEPTH: Final = 24
"""Maximum nesting; no setting is deeper, and the parser's stack could overflow."""

_AMBIGUOUS: Final = re.compile(
    r"y|Y|n|N|[Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF|[-+]?0[0-9_]+|[-+]?0[xob][0-9A-Fa-f_]+"
    r"|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|[-+]?[0-9]+_[0-9_]*|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"
)
_NULL: Final = re.compile(r"~|null|Null|NULL|")
_BOOL: Final = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT: Final = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]{1,4})?")


Plain = str | int | float | bool | None


class _UnsupportedError(yaml.YAMLError):
    """YAML that the parser accepts and this module does not."""

    def __init__(self, mark: yaml.Mark | None, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.problem_mark = mark


class _Loader(yaml.SafeLoader):
    """SafeLoader that rejects anchors, aliases, tags and deep nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _UnsupportedError(
                event.start_mark, "anchors and aliases are not supported; repeat the value"
            )
        if getattr(event, "tag", None) is not None:
            raise _UnsupportedError(event.start_mark, "tags are not supported; write plain values")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _UnsupportedError(event.start_mark, f"nested deeper than {MAX_DEPTH} levels")
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _scalar(node: yaml.ScalarNode) -> Plain:
    text: str = node.value
    if node.style is not None:  # quoted or a block: always a string
        return text
    if _AMBIGUOUS.fullmatch(text):
        raise _UnsupportedError(
            node.start_mark,
            f"{text[:40]!r} is ambiguous; quote it, or write true, false or a plain number",
        )
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            raise _UnsupportedError(node.start_mark, "the number is too large")
        return number
    return text


def _value(node: yaml.Node) -> object:
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            raise _UnsupportedError(key_node.start_mark, "a key must be text; put it in quotes")
        if key in result:
            raise _UnsupportedError(key_node.start_mark, f"duplicate key {key[:40]!r}")
        result[key] = _value(value_node)
    return result


def _fix(name: str) -> str:
    return f"Fix {name} and run the command again; nothing was changed."


def _usage_error(name: str, error: yaml.YAMLError) -> UsageError:
    mark = getattr(error, "problem_mark", None)
    where = f"{name}:{mark.line + 1}" if mark is not None else name
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not readable as YAML"
    return UsageError(f"{where}: {problem}.", fix=_fix(name))


def parse(content: bytes, name: str) -> dict[str, Any]:
    """Return the mapping in `content`.

    Args:
        content: The file's bytes.
        name: Name of the file in messages.

    Raises:
        UsageError: It is not one plain mapping; the message names the line.
    """
    fix = _fix(name)
    if len(content) > MAX_BYTES:
        raise UsageError(f"{name}: larger than {MAX_BYTES // 1024} KiB.", fix=fix)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: not UTF-8 text (byte {error.start}).", fix=fix) from None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        value = None if node is None else _value(node)
    except yaml.YAMLError as error:
        raise _usage_error(name, error) from None
    if not isinstance(value, dict):
        actual = "empty" if value is None else f"a {'list' if isinstance(value, list) else 'single value'}"
        raise UsageError(f"{name}: must be a mapping of settings, but it is {actual}.", fix=fix)
    return value


def read(path: Path) -> dict[str, Any]:
    """Return the mapping in the file.

    Raises:
        UsageError: The file is unreadable or is not one plain mapping.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path.name}: can't be read ({error.strerror}).", why=str(path.parent)) from None
    return parse(content, path.name)
