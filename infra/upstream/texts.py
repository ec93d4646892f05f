"""Every text in an object, also those inside texts: base64, and YAML or JSON in a ConfigMap. Pure."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.upstream import manifests

_BASE64: Final = re.compile(r"[A-Za-z0-9+/\s]{4,}={0,2}\s*")
_MAX_DEPTH: Final = 5
_PROSE: Final = frozenset({"description", "_example"})
"""Keys whose text is read by people: a CRD's documentation, and KServe's example of its settings."""


@dataclass(frozen=True)
class Text:
    """One text and its place."""

    place: str
    """Path of keys, joined by dots; what was parsed out of a text goes on with its own keys."""
    key: str
    """The key that it is the value of; of an environment variable, its name."""
    value: str


def texts(document: Mapping[str, Any]) -> Iterator[Text]:
    """Yield every text of an object; one that is itself YAML, JSON or base64 also as what it holds."""
    secret = document.get("kind") == "Secret"
    for key, value in document.items():
        if key in ("apiVersion", "kind"):
            continue
        yield from _walk(value, key, key, 0, encoded=secret and key == "data")


def _walk(value: Any, place: str, key: str, depth: int, *, encoded: bool = False) -> Iterator[Text]:  # noqa: ANN401
    if isinstance(value, Mapping):
        for name, each in value.items():
            if name in _PROSE:
                continue
            called = (
                str(value.get("name")) if name == "value" and isinstance(value.get("name"), str) else name
            )
            yield from _walk(each, f"{place}.{name}", called, depth, encoded=encoded)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            label = (
                each["name"] if isinstance(each, Mapping) and isinstance(each.get("name"), str) else number
            )
            yield from _walk(each, f"{place}.{label}", key, depth, encoded=encoded)
    elif isinstance(value, str):
        yield Text(place, key, value)
        if depth < _MAX_DEPTH:
            yield from _inside(value, place, key, depth + 1, encoded=encoded)
    elif value is not None:
        yield Text(place, key, str(value))


def _inside(value: str, place: str, key: str, depth: int, *, encoded: bool) -> Iterator[Text]:
    decoded = _decoded(value) if encoded or len(value) >= 12 else None
    if decoded is not None:
        yield from _walk(decoded, place, key, depth)
    if ":" not in value and "[" not in value:
        return
    if "\n" not in value and not value.lstrip().startswith(("{", "[")):
        return
    try:
        for document in manifests.values(value, place):
            if isinstance(document, (dict, list)):
                yield from _walk(document, place, key, depth)
    except manifests.ManifestError:
        # Not YAML: a script, a certificate, a template. Its lines are looked at one by one.
        for number, line in enumerate(value.splitlines()):
            name, _, rest = re.sub(r"^\s*[-\w]*\s+", "", line).partition("=")
            yield Text(f"{place}.line {number + 1}", name.strip(), rest.strip() or line.strip())


def _decoded(value: str) -> str | None:
    """Return the text that base64 stands for, if it is text."""
    if not _BASE64.fullmatch(value):
        return None
    try:
        text = base64.b64decode("".join(value.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text if text.isprintable() or "\n" in text else None
