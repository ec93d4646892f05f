"""Whether an ONNX file is a classifier of tabular data and nothing else, before anything runs it.

The rule is a list of what is allowed: a structure (tabular.wire), a few operators of the two standard
domains (tabular.operators), trees that are trees (tabular.trees), and the shapes that follow from the
schema. Whatever can't be understood is refused.
"""

from pathlib import Path
from typing import Any, Final

import onnx
from onnx import TensorProto

from slipway.core.errors import FailedError
from tabular import wire
from tabular.operators import Flow, GraphError, Value, integers, require
from tabular.schema import CATEGORIES, LABEL, NUMBERS, PROBABILITIES, ModelSchema

MAX_BYTES: Final = 128 << 20
MAX_NODES: Final = 10_000

_STANDARD: Final = ("", "ai.onnx", "ai.onnx.ml")


class ModelRefusedError(FailedError):
    """The file may not be loaded."""


def check(path: Path, schema: ModelSchema) -> bytes:
    """Return the content of an ONNX file that is a classifier for `schema`.

    Load these bytes, not the file: a file may change between a check and its use.

    Raises:
        ModelRefusedError: It is something else, or can't be understood.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise _refused(path, f"it has {size >> 20} MiB; the limit is {MAX_BYTES >> 20} MiB")
    content = path.read_bytes()
    try:
        wire.scan(content)
        model = onnx.ModelProto.FromString(content)
        require(model.ByteSize() == len(content), "it is not encoded in the standard form")
        _check_model(model, schema)
    except ValueError as error:
        raise _refused(path, str(error)) from error
    except Exception as error:
        raise _refused(path, f"it can't be read ({type(error).__name__})") from error
    return content


def _refused(path: Path, why: str) -> ModelRefusedError:
    return ModelRefusedError(
        f"{path.name} is refused, and was not loaded.",
        why=f"{why[:1].upper()}{why[1:300]}.",
        fix="Run the pipeline again; it writes what is allowed.",
    )


def _check_model(model: onnx.ModelProto, schema: ModelSchema) -> None:
    foreign = {each.domain for each in model.opset_import} - set(_STANDARD)
    require(not foreign, f"it uses the operators of {sorted(foreign)}, not of the two standard domains alone")
    graph = model.graph
    require(len(graph.node) <= MAX_NODES, f"it has {len(graph.node)} nodes; the limit is {MAX_NODES}")
    expected: list[tuple[str, int, list[int]]] = []
    if schema.numbers:
        expected.append((NUMBERS, TensorProto.FLOAT, [0, len(schema.numbers)]))
    if schema.categorical:
        expected.append((CATEGORIES, TensorProto.STRING, [0, len(schema.categorical)]))
    _check_interface("inputs", graph.input, expected)
    _check_interface(
        "outputs",
        graph.output,
        [
            (LABEL, TensorProto.STRING, [0]),
            (PROBABILITIES, TensorProto.FLOAT, [0, len(schema.classes)]),
        ],
    )
    flow = Flow(schema, {tensor.name: integers(tensor) for tensor in graph.initializer})
    require(len(flow.constants) == len(graph.initializer), "two of its constants have one name")
    for node in graph.node:
        flow.follow(node)
    require(flow.classified, "it has no classifier")
    require(
        flow.values.get(LABEL) == Value("label", 1)
        and flow.values.get(PROBABILITIES) == Value("score", len(schema.classes)),
        f"its outputs {LABEL} and {PROBABILITIES} are not those of its classifier",
    )


def _check_interface(what: str, values: Any, expected: list[tuple[str, int, list[int]]]) -> None:  # noqa: ANN401 - protobuf
    """Names, types and shapes; 0 stands for a dimension that is left open."""
    actual = [
        (
            each.name,
            each.type.tensor_type.elem_type,
            [dimension.dim_value for dimension in each.type.tensor_type.shape.dim],
        )
        for each in values
    ]
    if actual != expected:
        shown = ", ".join(_worded(*each) for each in actual)
        meant = ", ".join(_worded(*each) for each in expected)
        raise GraphError(f"its {what} are {shown or 'none'}, but its schema means {meant}")


def _worded(name: str, kind: int, shape: list[int]) -> str:
    types: dict[int, str] = {TensorProto.FLOAT: "float32", TensorProto.STRING: "text"}
    return f"{name[:60]!r} {types.get(kind, f'type {kind}')} {[each or 'rows' for each in shape]}"
