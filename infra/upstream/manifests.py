"""Kubernetes manifests from YAML, read as Kubernetes' own Go programs read them. Pure.

PyYAML's loader follows YAML 1.1 further: it fails on a bare `=` (Prometheus' CRDs have one), reads `1:30` as
a number and a date as an object. A bare `yes` or `on` means true to some of the Go programs and is text to
others, so it is refused.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import yaml

_CONSTANTS: Final[Mapping[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_AMBIGUOUS: Final = frozenset(
    word for base in ("yes", "no", "on", "off") for word in (base, base.capitalize(), base.upper())
)
_DECIMAL: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_OTHER_BASE: Final = re.compile(r"0o?[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")

Document = dict[str, Any]


class ManifestError(ValueError):
    """YAML that is not manifests; the message has file and line."""


def parse(text: str, name: str) -> list[Document]:
    """Return the objects of a YAML stream; Lists are expanded and empty documents left out.

    Args:
        text: The stream.
        name: Name of the file in messages.

    Raises:
        ManifestError: It is not readable, has an ambiguous value or a duplicate key, or holds something
            that is not an object of Kubernetes.
    """
    found: list[Document] = []
    for value in values(text, name):
        found.extend(_objects(value, name))
    return found


def values(text: str, name: str) -> Iterator[Any]:
    """Yield the value of each document of a YAML or JSON stream; arguments and errors as of `parse`."""
    loader = yaml.CSafeLoader(text)
    # Every plain scalar stays text until `_scalar` has looked at it.
    loader.yaml_implicit_resolvers = {}
    try:
        while loader.check_node():
            yield _value(loader.get_node(), name)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise ManifestError(f"{name}{line}: {getattr(error, 'problem', None) or 'not YAML'}") from None
    finally:
        loader.dispose()


def _objects(value: Any, name: str) -> Iterator[Document]:  # noqa: ANN401 - any YAML value
    if value is None:
        return
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str) or "apiVersion" not in value:
        raise ManifestError(f"{name}: a document is not an object with apiVersion and kind")
    if value["kind"].endswith("List") and isinstance(value.get("items"), list):
        for item in value["items"]:
            yield from _objects(item, name)
        return
    yield cast(Document, value)


def _value(node: yaml.Node | None, name: str) -> Any:  # noqa: ANN401 - any YAML value
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, name)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, name) for item in node.value]
    result: dict[str, Any] = {}
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or key == "<<":
                raise _refusal(key_node, name, "a key must be plain text")
            if key in result:
                raise _refusal(key_node, name, f"duplicate key {key[:40]!r}")
            result[key] = _value(value_node, name)
    return result


def _scalar(node: yaml.ScalarNode, name: str) -> str | int | float | bool | None:
    text: str = node.value
    if node.style:  # quoted, or a block: always text
        return text
    if text in _AMBIGUOUS:
        raise _refusal(node, name, f"{text!r} is true or false to some programs and text to others")
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    return _number(text)


def _number(text: str) -> str | int | float:
    if _DECIMAL.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 16) if text[1] in "xX" else int(text.replace("o", ""), 8)
    return float(text) if _FLOAT.fullmatch(text) else text


def _refusal(node: yaml.Node, name: str, problem: str) -> ManifestError:
    return ManifestError(f"{name}:{node.start_mark.line + 1}: {problem}")
