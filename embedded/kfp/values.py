"""Parameter values: types of the IR, placeholders, selectors of loop items. Pure."""

import json
import math
import re
from collections.abc import Mapping
from typing import Final

_INPUT: Final = re.compile(r"\{\{\$\.inputs\.parameters\[(?:'([^']*)'|\"([^\"]*)\")\]\}\}")
_RUNTIME: Final = re.compile(r"\{\{\$\.(pipeline_[a-z_]+)\}\}")
_SELECTOR: Final = re.compile(r'parseJson\(string_value\)((?:\["[^"\]]*"\])*)')
_KEY: Final = re.compile(r'\["([^"\]]*)"\]')

TYPES: Final = {
    "STRING": "a string",
    "NUMBER_INTEGER": "an integer",
    "NUMBER_DOUBLE": "a number",
    "BOOLEAN": "a boolean",
    "LIST": "a list",
    "STRUCT": "an object",
    "TASK_FINAL_STATUS": "a task's final status",
}
"""Supported parameter types of the IR -> text for messages."""


class BadValueError(ValueError):
    """A value is not valid for its parameter."""


def coerce(kind: str, value: object) -> object:
    """Convert `value` to the parameter type `kind`; raise BadValueError if that is not possible.

    Numbers are doubles in HTTP and protobuf, so `5.0` is a valid integer and `5` a valid double. Any value
    can be converted to a STRING, as JSON: upstream passes objects of a loop like this. There are no other
    conversions: `"5"` is not an integer.
    """
    converted: object = None
    match kind, value:
        case "STRING", str():
            converted = value
        case "STRING", bool() | int() | float() | list() | dict():
            converted = json.dumps(value)
        case (("NUMBER_INTEGER" | "NUMBER_DOUBLE" | "LIST" | "STRUCT"), bool()):
            converted = None
        case "NUMBER_INTEGER", int():
            converted = value
        case "NUMBER_INTEGER", float() if value.is_integer():
            converted = int(value)
        case "NUMBER_DOUBLE", int() | float():
            converted = float(value)
        case ("BOOLEAN", bool()) | ("LIST", list()) | (("STRUCT" | "TASK_FINAL_STATUS"), dict()):
            converted = value
    if converted is None:
        raise BadValueError(f"expected {TYPES.get(kind, kind)}, got {shown(value)}")
    if isinstance(converted, float) and not math.isfinite(converted):
        raise BadValueError(f"{converted} is not a valid number of a parameter")
    return converted


def from_text(kind: str, text: str) -> object:
    """Parse the file of an output parameter."""
    if kind == "STRING":
        return text
    try:
        return coerce(kind, json.loads(text.lower() if kind == "BOOLEAN" else text))
    except ValueError as error:
        raise BadValueError(f"expected {TYPES.get(kind, kind)}, got {shown(text)}") from error


def fill(value: object, parameters: Mapping[str, object], runtime: Mapping[str, str]) -> object:
    """Replace the placeholders in a constant by parameters of its task and properties of the run."""
    if isinstance(value, list):
        return [fill(item, parameters, runtime) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, parameters, runtime) for key, item in value.items()}
    if not isinstance(value, str) or "{{$." not in value:
        return value
    whole = _INPUT.fullmatch(value)
    if whole:
        return _parameter(whole, parameters)
    filled = _INPUT.sub(lambda match: _text(_parameter(match, parameters)), value)
    return _RUNTIME.sub(lambda match: runtime.get(match[1], match[0]), filled)


def check_selector(selector: str) -> None:
    """Raise BadValueError if the expression that selects a part of a loop item isn't supported."""
    if not _SELECTOR.fullmatch(selector):
        raise BadValueError(f"unsupported parameterExpressionSelector {shown(selector)}")


def select(selector: str, value: object) -> object:
    """Select the part of a JSON value that a `parseJson(string_value)["a"]` expression refers to."""
    match = _SELECTOR.fullmatch(selector)
    if match is None:
        raise BadValueError(f"unsupported parameterExpressionSelector {shown(selector)}")
    part = json.loads(value) if isinstance(value, str) else value
    for key in _KEY.findall(match[1]):
        if not isinstance(part, dict) or key not in part:
            raise BadValueError(f"loop item {shown(value)} has no {key!r}")
        part = part[key]
    return part


def shown(value: object) -> str:
    """A value for a message: truncated JSON."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _parameter(match: re.Match[str], parameters: Mapping[str, object]) -> object:
    return parameters.get(match[1] if match[1] is not None else match[2])


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
