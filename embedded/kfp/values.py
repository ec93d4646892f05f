"""Parameter values: types of the IR, placeholders, parts of loop items. Pure."""

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
"""Parameter types of the IR that are supported, in words."""


class BadValueError(ValueError):
    """A value that doesn't fit where it is used."""


def coerce(kind: str, value: object) -> object:
    """Return `value` as the parameter type `kind` holds it; raise BadValueError if it can't.

    Numbers cross HTTP and protobuf as doubles, so `5.0` is an integer and `5` a number. A STRING
    takes anything, as its JSON text: that is how the backend hands over objects of a loop. Nothing
    else is converted: `"5"` is no integer.
    """
    fits: object = None
    match kind, value:
        case "STRING", str():
            fits = value
        case "STRING", bool() | int() | float() | list() | dict():
            fits = json.dumps(value)
        case (("NUMBER_INTEGER" | "NUMBER_DOUBLE" | "LIST" | "STRUCT"), bool()):
            fits = None
        case "NUMBER_INTEGER", int():
            fits = value
        case "NUMBER_INTEGER", float() if value.is_integer():
            fits = int(value)
        case "NUMBER_DOUBLE", int() | float():
            fits = float(value)
        case ("BOOLEAN", bool()) | ("LIST", list()) | (("STRUCT" | "TASK_FINAL_STATUS"), dict()):
            fits = value
    if fits is None:
        raise BadValueError(f"expected {TYPES.get(kind, kind)}, got {shown(value)}")
    if isinstance(fits, float) and not math.isfinite(fits):
        raise BadValueError(f"{fits} is no number that a parameter can hold")
    return fits


def from_text(kind: str, text: str) -> object:
    """Read what a step wrote into the file of an output parameter."""
    if kind == "STRING":
        return text
    try:
        return coerce(kind, json.loads(text.lower() if kind == "BOOLEAN" else text))
    except ValueError as error:
        raise BadValueError(f"expected {TYPES.get(kind, kind)}, got {shown(text)}") from error


def fill(value: object, parameters: Mapping[str, object], runtime: Mapping[str, str]) -> object:
    """Replace the placeholders in a constant by parameters of its task and facts of the run."""
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
    """Raise BadValueError if the expression that picks a part of a loop item isn't known."""
    if not _SELECTOR.fullmatch(selector):
        raise BadValueError(f"unknown parameterExpressionSelector {shown(selector)}")


def select(selector: str, value: object) -> object:
    """Pick the part of a JSON value that a checked `parseJson(string_value)["a"]` names."""
    match = _SELECTOR.fullmatch(selector)
    if match is None:
        raise BadValueError(f"unknown parameterExpressionSelector {shown(selector)}")
    part = json.loads(value) if isinstance(value, str) else value
    for key in _KEY.findall(match[1]):
        if not isinstance(part, dict) or key not in part:
            raise BadValueError(f"loop item {shown(value)} has no {key!r}")
        part = part[key]
    return part


def shown(value: object) -> str:
    """A value for a message: JSON, cut short."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _parameter(match: re.Match[str], parameters: Mapping[str, object]) -> object:
    return parameters.get(match[1] if match[1] is not None else match[2])


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
