"""Pulumi's wire format of properties, without its service definitions.

Separate from them because pulumi and googleapis (a dependency of kfp) each ship `google.rpc.Status`: one
process can't load both (protobuf refuses the second).
"""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf import json_format, struct_pb2

from slipway.provider.kinds import Properties

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
"""How Pulumi's wire format marks a secret; part of its protocol."""


def plain(struct: struct_pb2.Struct) -> Properties:
    """Return the properties as JSON values; whole numbers as int, secrets without their mark."""
    return {name: _unmarked(value) for name, value in json_format.MessageToDict(struct).items()}


def _unmarked(value: Any) -> Any:  # noqa: ANN401  any JSON value
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            return _unmarked(value.get("value"))
        return {name: _unmarked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_unmarked(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def wire(properties: Mapping[str, Any], secrets: frozenset[str] = frozenset()) -> struct_pb2.Struct:
    """Return the properties as the engine reads them, those named in `secrets` marked."""
    struct = struct_pb2.Struct()
    struct.update(
        {
            name: {_SIGNATURE: _SECRET, "value": value} if name in secrets else value
            for name, value in properties.items()
        }
    )
    return struct
