"""Property values as the engine sends them: plain data, plus which paths of it are secret. Pure."""

import base64
import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf import struct_pb2

Path = tuple[str | int, ...]

Value = Any
"""Whatever JSON can say, and `UNKNOWN`."""

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_RESOURCE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

_TELLING: Final = 8
"""A secret shorter than this would be found in unrelated text."""


class Unknown(enum.Enum):
    """The one value that a preview doesn't know yet."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


@dataclass(frozen=True)
class Properties:
    """Plain data, and the paths whose values no one may see."""

    value: dict[str, Any]
    secret: frozenset[Path] = field(default=frozenset())

    def secrets(self) -> frozenset[str]:
        """Every text that must not show up in a message, as it is and in base64."""
        texts: set[str] = set()
        for path in self.secret:
            for leaf in leaves(get(self.value, path)):
                if isinstance(leaf, str) and len(leaf) >= _TELLING:
                    texts |= {leaf, base64.b64encode(leaf.encode()).decode(), _decoded(leaf)}
        return frozenset(text for text in texts if len(text) >= _TELLING)


def decode(struct: struct_pb2.Struct) -> Properties:
    """Read a message's properties."""
    secret: set[Path] = set()
    value = {key: _decode(item, (key,), secret) for key, item in struct.fields.items()}
    return Properties(value, frozenset(secret))


def encode(properties: Properties) -> struct_pb2.Struct:
    """Write properties into a message, secrets marked as such."""
    struct = struct_pb2.Struct()
    for key, value in properties.value.items():
        _encode(value, (key,), properties.secret, struct.fields[key])
    return struct


def has_unknown(value: Value) -> bool:
    """Tell whether anything in `value` is not known yet."""
    return any(leaf is UNKNOWN for leaf in leaves(value))


def leaves(value: Value) -> Iterator[Any]:
    """Yield every scalar in `value`."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def get(value: Value, path: Path) -> Value:
    """Return what is at `path`, or None."""
    for step in path:
        try:
            value = value[step] if isinstance(value, dict | list) else None  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def redact(text: str, secrets: frozenset[str]) -> str:
    """Take every secret out of a message."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    return text


def marked(value: dict[str, Any], known: Properties, always: frozenset[Path] = frozenset()) -> Properties:
    """Mark in what the cluster answered whatever was secret in what it was told.

    By path, by text wherever it turns up (a mutating webhook may copy it), and `always`.
    """
    paths = {path for path in known.secret | always if get(value, path) is not None}
    texts = known.secrets()
    if texts:
        paths |= {path for path, leaf in _walk(value, ()) if _tells(leaf, texts)}
    return Properties(value, frozenset(paths))


def _tells(leaf: Value, texts: frozenset[str]) -> bool:
    return isinstance(leaf, str) and any(text in leaf for text in texts)


def _walk(value: Value, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, (*path, index))
    else:
        yield path, value


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""


def _decode(value: struct_pb2.Value, path: Path, secret: set[Path]) -> Value:
    match value.WhichOneof("kind"):
        case "struct_value":
            return _decode_struct(value.struct_value, path, secret)
        case "list_value":
            items = value.list_value.values
            return [_decode(item, (*path, index), secret) for index, item in enumerate(items)]
        case "string_value":
            return UNKNOWN if value.string_value == _UNKNOWN else value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
    return None


def _decode_struct(struct: struct_pb2.Struct, path: Path, secret: set[Path]) -> Value:
    fields = struct.fields
    if _SIGNATURE not in fields:
        return {key: _decode(item, (*path, key), secret) for key, item in fields.items()}
    signature = fields[_SIGNATURE].string_value
    if signature == _SECRET:
        secret.add(path)
        return _decode(fields["value"], path, secret)
    if signature == _OUTPUT:
        if "secret" in fields and fields["secret"].bool_value:
            secret.add(path)
        return _decode(fields["value"], path, secret) if "value" in fields else UNKNOWN
    if signature == _RESOURCE:
        return _decode(fields["id"], path, secret) if "id" in fields else None
    raise ValueError(f"{render(path)}: assets and archives have no place in a Kubernetes object")


def _encode(value: Value, path: Path, secret: frozenset[Path], into: struct_pb2.Value) -> None:
    if path in secret:
        into.struct_value.fields[_SIGNATURE].string_value = _SECRET
        _encode(value, path, secret - {path}, into.struct_value.fields["value"])
    elif value is UNKNOWN:
        into.string_value = _UNKNOWN
    elif value is None:
        into.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, int | float):
        into.number_value = value
    elif isinstance(value, str):
        into.string_value = value
    elif isinstance(value, Mapping):
        into.struct_value.SetInParent()
        for key, item in value.items():
            _encode(item, (*path, key), secret, into.struct_value.fields[key])
    else:
        into.list_value.SetInParent()
        for index, item in enumerate(value):
            _encode(item, (*path, index), secret, into.list_value.values.add())


def render(path: Path) -> str:
    """Write a path as the engine writes property paths: `metadata.labels["a/b"]`, `ports[0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.replace("_", "").isalnum():
            text += f".{step}" if text else step
        else:
            quoted = step.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{quoted}"]'
    return text
