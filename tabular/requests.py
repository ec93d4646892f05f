"""Parse a request of the V2 inference protocol strictly. Pure.

A request contains one tensor for each feature by name, in any order. If all features are numbers, it may
instead contain a single tensor of rows x features in the order of the metadata.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tabular import inputs
from tabular.inputs import InputError
from tabular.schema import CATEGORIES, LABEL, NUMBERS, PROBABILITIES, ModelSchema

MAX_BYTES: Final = 8 << 20
"""Largest size of a request."""

_FLOATS: Final = frozenset({"FP32", "FP64"})
_INTEGERS: Final = frozenset(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
_REQUEST: Final = frozenset({"id", "parameters", "inputs", "outputs"})
_TENSOR: Final = frozenset({"name", "shape", "datatype", "parameters", "data"})
TYPES: Final = {"number": "FP32", "category": "BYTES"}
"""Kind of a feature -> datatype in the metadata."""


@dataclass(frozen=True)
class Request:
    """A parsed inference request."""

    feeds: inputs.Feeds
    identity: str | None
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class _Tensor:
    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[Any]


def read_request(body: bytes, schema: ModelSchema) -> Request:
    """Parse a request.

    Raises:
        InputError: It is not a valid request to the model; the message names the column.
    """
    document = _object(_json(body), _REQUEST, "The request")
    identity = document.get("id")
    if identity is not None and not isinstance(identity, str):
        raise InputError("The request's `id` is not text.")
    listed = document.get("inputs")
    if not isinstance(listed, list) or not listed:
        raise InputError("The request has no `inputs`.", why=_expected(schema))
    tensors = [_tensor(each, schema) for each in listed]
    by_position = len(tensors) == 1 and not schema.categorical and tensors[0].name not in schema.numbers
    feeds = _by_position(tensors[0], schema) if by_position else _by_name(tensors, schema)
    return Request(feeds, identity, _outputs(document.get("outputs")))


def _json(body: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(body.decode(), parse_constant=_no_constant, object_pairs_hook=_unique)
    except RecursionError as error:
        raise InputError("The request can't be parsed.", why="Its JSON is nested too deeply.") from error
    except ValueError as error:
        raise InputError("The request is not JSON.", why=f"{str(error)[:200]}.") from error


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is not a valid JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has the same name twice")
    return members


def _object(value: Any, names: frozenset[str], what: str) -> dict[str, Any]:  # noqa: ANN401 - JSON
    if not isinstance(value, dict):
        raise InputError(f"{what} is not a JSON object.")
    if unknown := sorted(value.keys() - names):
        raise InputError(f"{what} has {unknown[0][:60]!r}, which is not supported.")
    parameters = value.get("parameters")
    if parameters is not None and (
        not isinstance(parameters, dict) or any(name.startswith("binary_data") for name in parameters)
    ):
        raise InputError(
            f"{what} has parameters that are not supported.", why="Tensors must be sent as JSON."
        )
    return value


def _tensor(value: Any, schema: ModelSchema) -> _Tensor:  # noqa: ANN401 - JSON
    fields = _object(value, _TENSOR, "An input")
    name, datatype, shape, data = (fields.get(each) for each in ("name", "datatype", "shape", "data"))
    if not isinstance(name, str):
        raise InputError("An input has no `name`.", why=_expected(schema))
    if not isinstance(datatype, str) or not isinstance(data, list):
        raise InputError(f"Input {name[:60]!r} has no `datatype` or no `data`.", why=_expected(schema))
    if not isinstance(shape, list) or not all(type(each) is int and each >= 0 for each in shape):
        raise InputError(f"Input {name[:60]!r} has a `shape` that is not a list of sizes.")
    # The protocol allows nested lists as well as flat ones.
    for _ in range(len(shape) - 1):
        if data and all(isinstance(each, list) for each in data):
            data = [cell for row in data for cell in row]
    count = 1
    for each in shape:
        count *= each
    if len(data) != count:
        raise InputError(f"Input {name[:60]!r} has shape {shape[:8]}, but {len(data)} values.")
    return _Tensor(name, datatype, tuple(shape), data)


def _by_position(tensor: _Tensor, schema: ModelSchema) -> inputs.Feeds:
    width = len(schema.numbers)
    if len(tensor.shape) != 2 or tensor.shape[1] != width or tensor.shape[0] < 1:
        shape = list(tensor.shape[:8])
        raise InputError(
            f"Column {tensor.name[:60]!r} is unknown, and its shape {shape} is not [rows, {width}].",
            why=_expected(schema),
        )
    _check_numbers(tensor, schema)
    rows = tensor.shape[0]
    columns = (
        [tensor.data[place::width] for place in range(width)] if rows > 1 else [[c] for c in tensor.data]
    )
    return {NUMBERS: _numbers(schema.numbers, columns)}


def _by_name(tensors: Sequence[_Tensor], schema: ModelSchema) -> inputs.Feeds:
    by_name = {tensor.name: tensor for tensor in tensors}
    known = {feature.name for feature in schema.features}
    for tensor in tensors:
        if tensor.name not in known:
            raise InputError(f"Column {tensor.name[:60]!r} is unknown.", why=_expected(schema))
        if by_name[tensor.name] is not tensor:
            raise InputError(f"Column {tensor.name[:60]!r} appears twice.")
    for feature in schema.features:
        if feature.name not in by_name:
            raise InputError(f"Column {feature.name[:60]!r} is missing.", why=_expected(schema))
    rows = tensors[0].shape[0] if tensors[0].shape else 0
    for tensor in tensors:
        if tensor.shape not in {(rows,), (rows, 1)} or rows < 1:
            raise InputError(
                f"Column {tensor.name[:60]!r} has shape {list(tensor.shape[:8])}.",
                why="It must be [rows] or [rows, 1], with at least one row, as many as the others.",
            )
    feeds: inputs.Feeds = {}
    if schema.numbers:
        for name in schema.numbers:
            _check_numbers(by_name[name], schema)
        feeds[NUMBERS] = _numbers(schema.numbers, [by_name[name].data for name in schema.numbers])
    if schema.categorical:
        feeds[CATEGORIES] = np.stack(
            [
                _texts(by_name[feature.name], feature)
                for feature in schema.features
                if feature.kind == "category"
            ],
            axis=1,
        )
    return feeds


def _check_numbers(tensor: _Tensor, schema: ModelSchema) -> None:
    """Check that every value is a JSON number, and an integer if the datatype is one."""
    if tensor.datatype in _FLOATS:
        allowed: set[type] = {int, float}
    elif tensor.datatype in _INTEGERS:
        allowed = {int}
    else:
        raise InputError(
            f"Column {tensor.name[:60]!r} has datatype {tensor.datatype[:20]!r}.",
            why="It must be FP32, FP64 or an integer datatype.",
        )
    if set(map(type, tensor.data)) <= allowed:
        return
    place = next(place for place, cell in enumerate(tensor.data) if type(cell) not in allowed)
    # In a matrix, the index of a value determines its row and column.
    name = (
        schema.numbers[place % len(schema.numbers)]
        if len(tensor.shape) == 2 and tensor.name not in schema.numbers
        else tensor.name
    )
    cell = tensor.data[place]
    raise InputError(
        f"Column {name[:60]!r} has {'null' if cell is None else repr(cell)[:60]}.",
        why=f"It must be a number of datatype {tensor.datatype}.",
    )


def _numbers(names: Sequence[str], columns: Sequence[Sequence[float]]) -> Any:  # noqa: ANN401 - an array
    try:
        table = np.array(columns, dtype=np.float64)
    except OverflowError as error:
        raise InputError(
            "A number is too large.", why="A number must be finite and in the range of float32."
        ) from error
    usable = np.abs(table) <= inputs.MAX_FLOAT32
    if not usable.all():
        column, row = (int(each[0]) for each in np.nonzero(~usable))
        raise InputError(
            f"Column {names[column][:60]!r} has {table[column, row]} in row {row + 1}.",
            why="A number must be finite and in the range of float32.",
        )
    return np.ascontiguousarray(table.T, dtype=np.float32)


def _texts(tensor: _Tensor, feature: Any) -> Any:  # noqa: ANN401 - an array
    if tensor.datatype != "BYTES":
        raise InputError(
            f"Column {tensor.name[:60]!r} has datatype {tensor.datatype[:20]!r}.", why="It must be BYTES."
        )
    cells = np.empty(len(tensor.data), dtype=object)
    cells[:] = tensor.data
    return inputs.texts(feature, cells)


def _outputs(requested: Any) -> tuple[str, ...]:  # noqa: ANN401 - JSON
    if requested is None:
        return (LABEL, PROBABILITIES)
    names = []
    for each in requested if isinstance(requested, list) else [None]:
        fields = _object(each, frozenset({"name", "parameters"}), "An output")
        if fields.get("name") not in {LABEL, PROBABILITIES}:
            raise InputError(
                f"Output {str(fields.get('name'))[:60]!r} is unknown.",
                why=f"The outputs are {LABEL} and {PROBABILITIES}.",
            )
        names.append(str(fields["name"]))
    if len(set(names)) != len(names):
        raise InputError("An output is requested twice.")
    return tuple(names)


def _expected(schema: ModelSchema) -> str:
    shown = ", ".join(f"{each.name[:40]} {TYPES[each.kind]}" for each in schema.features[:12])
    more = f" and {len(schema.features) - 12} more" if len(schema.features) > 12 else ""
    matrix = "" if schema.categorical else f", or one FP32 tensor of shape [rows, {len(schema.features)}]"
    return f"The model takes one tensor for each column: {shown}{more}{matrix}."
