"""Check that an ONNX file is a classifier of tabular data and nothing else, before it is run.

The check is an allowlist: the protobuf structure (tabular.wire), a few operators of the two standard
domains (tabular.operators), valid trees (tabular.trees), and the shapes that follow from the schema.
Anything else is refused.
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
    """The file is not a permitted model, and must not be loaded."""


def check(path: Path, schema: ModelSchema) -> bytes:
    """Check that an ONNX file is a classifier for `schema`, and return its content.

    Load these bytes, not the file: it may change after the check.

    Raises:
        ModelRefusedError: It is something else, or can't be parsed.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise _refused(path, f"its size is {size >> 20} MiB; the limit is {MAX_BYTES >> 20} MiB")
    content = path.read_bytes()
    try:
        wire.scan(content)
        model = onnx.ModelProto.FromString(content)
        require(model.ByteSize() == len(content), "its protobuf encoding is not canonical")
        _check_model(model, schema)
    except ValueError as error:
        raise _refused(path, str(error)) from error
    except Exception as error:
        raise _refused(path, f"it can't be parsed ({type(error).__name__})") from error
    return content


def _refused(path: Path, why: str) -> ModelRefusedError:
    return ModelRefusedError(
        f"{path.name} is not a permitted model, and was not loaded.",
        why=f"{why[:1].upper()}{why[1:300]}.",
        fix="Run the pipeline again; it writes a permitted model.",
    )


def _check_model(model: onnx.ModelProto, schema: ModelSchema) -> None:
    foreign = {each.domain for each in model.opset_import} - set(_STANDARD)
    require(
        not foreign,
        f"it uses operators of the domains {sorted(foreign)}; only the two standard domains are allowed",
    )
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
    require(len(flow.constants) == len(graph.initializer), "two of its constants have the same name")
    for node in graph.node:
        flow.follow(node)
    require(flow.classified, "it has no classifier")
    require(
        flow.values.get(LABEL) == Value("label", 1)
        and flow.values.get(PROBABILITIES) == Value("score", len(schema.classes)),
        f"its outputs {LABEL} and {PROBABILITIES} are not the outputs of its classifier",
    )


def _check_interface(what: str, values: Any, expected: list[tuple[str, int, list[int]]]) -> None:  # noqa: ANN401 - protobuf
    """Compare names, types and shapes; 0 is a dimension of any size."""
    actual = [
        (
            each.name,
            each.type.tensor_type.elem_type,
            [dimension.dim_value for dimension in each.type.tensor_type.shape.dim],
        )
        for each in values
    ]
    if actual != expected:
        actual_text = ", ".join(_described(*each) for each in actual)
        expected_text = ", ".join(_described(*each) for each in expected)
        raise GraphError(f"its {what} are {actual_text or 'none'}, but its schema requires {expected_text}")


def _described(name: str, kind: int, shape: list[int]) -> str:
    types: dict[int, str] = {TensorProto.FLOAT: "float32", TensorProto.STRING: "text"}
    return f"{name[:60]!r} {types.get(kind, f'type {kind}')} {[each or 'rows' for each in shape]}"
