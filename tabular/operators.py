"""The operators that a model may contain, and the shape that each of them returns.

Widths are tracked from the inputs to the classifier, because onnxruntime does not check that the columns
a tree reads exist.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from onnx import AttributeProto, NodeProto, TensorProto

from tabular import trees
from tabular.schema import CATEGORIES, NUMBERS, ModelSchema

MAX_CONSTANT: Final = 10_000
MAX_WIDTH: Final = 100_000
"""Columns after categories are encoded: the numbers that each row takes in memory."""

_INT, _FLOATS, _INTS, _STRING, _STRINGS = (
    AttributeProto.INT,
    AttributeProto.FLOATS,
    AttributeProto.INTS,
    AttributeProto.STRING,
    AttributeProto.STRINGS,
)
_TREES: Final = {
    **dict.fromkeys(("class_weights", "nodes_hitrates", "nodes_values"), _FLOATS),
    **dict.fromkeys(("class_ids", "class_nodeids", "class_treeids"), _INTS),
    **dict.fromkeys(("nodes_falsenodeids", "nodes_truenodeids", "nodes_featureids"), _INTS),
    **dict.fromkeys(("nodes_missing_value_tracks_true", "nodes_nodeids", "nodes_treeids"), _INTS),
    **dict.fromkeys(("classlabels_strings", "nodes_modes"), _STRINGS),
    "post_transform": _STRING,
}
OPERATORS: Final[Mapping[tuple[str, str], Mapping[str, int]]] = {
    ("", "Concat"): {"axis": _INT},
    ("", "Gather"): {"axis": _INT},
    ("", "Reshape"): {},
    ("ai.onnx.ml", "LinearClassifier"): {
        "classlabels_strings": _STRINGS,
        "coefficients": _FLOATS,
        "intercepts": _FLOATS,
        "multi_class": _INT,
        "post_transform": _STRING,
    },
    ("ai.onnx.ml", "Normalizer"): {"norm": _STRING},
    ("ai.onnx.ml", "OneHotEncoder"): {"cats_strings": _STRINGS, "zeros": _INT},
    ("ai.onnx.ml", "Scaler"): {"offset": _FLOATS, "scale": _FLOATS},
    ("ai.onnx.ml", "TreeEnsembleClassifier"): _TREES,
}
"""Permitted operators, with their attributes. Adding one is a security decision."""


class GraphError(ValueError):
    """The graph is not permitted; the text says why."""


@dataclass(frozen=True)
class Value:
    """A tensor between nodes: rows x width, or rows x 1 x width while it is `folded`."""

    kind: str
    width: int
    folded: bool = False
    columns: tuple[int, ...] = ()
    """Of a text value: the indexes of its categorical features in the schema."""


def require(condition: bool, why: str) -> None:
    """Raise GraphError unless the condition is true."""
    if not condition:
        raise GraphError(why)


def integers(tensor: TensorProto) -> tuple[int, ...]:
    """The integers of a constant; a graph needs constants for indexes and shapes only."""
    dims = list(tensor.dims)
    require(
        tensor.data_type == TensorProto.INT64 and len(dims) == 1 and 0 < dims[0] <= MAX_CONSTANT,
        f"its constant {tensor.name[:60]!r} is not a short list of integers",
    )
    raw = np.frombuffer(tensor.raw_data, dtype="<i8").tolist() if tensor.raw_data else []
    listed = raw or [int(each) for each in tensor.int64_data]
    both = bool(tensor.raw_data) and bool(tensor.int64_data)
    require(len(listed) == dims[0] and not both, f"its constant {tensor.name[:60]!r} has the wrong length")
    return tuple(listed)


@dataclass
class Flow:
    """Tracks the widths of values from the inputs to the classifier."""

    schema: ModelSchema
    constants: Mapping[str, tuple[int, ...]]
    values: dict[str, Value] = field(default_factory=dict)
    classified: bool = False

    def __post_init__(self) -> None:
        if self.schema.numbers:
            self.values[NUMBERS] = Value("number", len(self.schema.numbers))
        if count := len(self.schema.categorical):
            self.values[CATEGORIES] = Value("text", count, columns=tuple(range(count)))
        require(not self.values.keys() & self.constants.keys(), "a constant has the same name as an input")

    def follow(self, node: NodeProto) -> None:
        """Check one node, and record its outputs."""
        domain = "" if node.domain == "ai.onnx" else node.domain
        allowed = OPERATORS.get((domain, node.op_type))
        if allowed is None:
            raise GraphError(f"operator {(node.domain or 'ai.onnx')[:40]}.{node.op_type[:40]} is not allowed")
        attributes = _attributes(node, allowed)
        results = _RULES[node.op_type](self, node, attributes)
        require(len(node.output) == len(results), f"{node.op_type} has {len(node.output)} outputs")
        for name, value in zip(node.output, results, strict=True):
            require(
                bool(name) and name not in self.values and name not in self.constants,
                f"the name {name[:60]!r} is used twice",
            )
            require(value.width <= MAX_WIDTH, f"a row has {value.width} columns; the limit is {MAX_WIDTH}")
            self.values[name] = value

    def inputs(self, node: NodeProto, kind: str, count: int | None = None) -> list[Value]:
        """The input values of a node, all of one kind."""
        require(
            bool(node.input) and len(node.input) == (count or len(node.input)),
            f"{node.op_type} has {len(node.input)} inputs",
        )
        values = [self.values[name] for name in node.input if name in self.values]
        require(
            len(values) == len(node.input) and all(value.kind == kind for value in values),
            f"{node.op_type} reads something that is not a {kind}",
        )
        return values

    def constant(self, node: NodeProto) -> tuple[Value, tuple[int, ...]]:
        """The value and the constant that are the inputs of a node."""
        names = list(node.input)
        if len(names) != 2 or names[0] not in self.values or names[1] not in self.constants:
            raise GraphError(f"{node.op_type} does not read a value and a constant")
        return self.values[names[0]], self.constants[names[1]]


def _attributes(node: NodeProto, allowed: Mapping[str, int]) -> dict[str, Any]:
    read: dict[int, Callable[[AttributeProto], Any]] = {
        _INT: lambda each: each.i,
        _FLOATS: lambda each: each.floats,
        _INTS: lambda each: each.ints,
        _STRING: lambda each: each.s,
        _STRINGS: lambda each: each.strings,
    }
    attributes: dict[str, Any] = {}
    for each in node.attribute:
        require(
            allowed.get(each.name) == each.type and each.name not in attributes,
            f"{node.op_type} has an unknown, repeated or mistyped attribute {each.name[:60]!r}",
        )
        value_fields = {descriptor.name for descriptor, _ in each.ListFields()} - {"name", "type"}
        require(len(value_fields) <= 1, f"{node.op_type}'s attribute {each.name} has values of two types")
        attributes[each.name] = read[each.type](each)
    return attributes


def _gather(flow: Flow, node: NodeProto, attributes: Mapping[str, Any]) -> list[Value]:
    value, places = flow.constant(node)
    require(value.kind == "text" and attributes.get("axis") == 1, "Gather does not select text columns")
    require(all(0 <= place < value.width for place in places), "Gather selects a column that does not exist")
    return [Value("text", len(places), columns=tuple(value.columns[place] for place in places))]


def _one_hot(flow: Flow, node: NodeProto, attributes: Mapping[str, Any]) -> list[Value]:
    [value] = flow.inputs(node, "text", 1)
    require(value.width == 1, "OneHotEncoder reads more than one column")
    [feature] = (
        each for each in flow.schema.features if each.name == flow.schema.categorical[value.columns[0]]
    )
    texts = tuple(_decoded(attributes.get("cats_strings", ())))
    require(
        texts == feature.categories, f"the categories of {feature.name[:60]!r} are not those of its schema"
    )
    require(attributes.get("zeros") == 1, "OneHotEncoder fails on an unknown category")
    return [Value("number", len(texts), folded=True)]


def _concat(flow: Flow, node: NodeProto, attributes: Mapping[str, Any]) -> list[Value]:
    values = flow.inputs(node, "number")
    folded = {value.folded for value in values}
    last = 2 if folded == {True} else 1
    require(len(folded) == 1 and attributes.get("axis") in {-1, last}, "Concat does not join columns")
    return [Value("number", sum(value.width for value in values), folded=folded.pop())]


def _reshape(flow: Flow, node: NodeProto, attributes: Mapping[str, Any]) -> list[Value]:
    value, shape = flow.constant(node)
    require(value.kind == "number" and shape == (-1, value.width), "Reshape changes more than the rank")
    return [Value("number", value.width)]


def _scaler(flow: Flow, node: NodeProto, attributes: Mapping[str, Any]) -> list[Value]:
    [value] = flow.inputs(node, "number", 1)
    for name in ("offset", "scale"):
        _finite(attributes, name, value.width)
    require(not value.folded, "the input of Scaler has the wrong rank")
    return [value]


def _trees(flow: Flow, node: NodeProto, attributes: Mapping[str, Any]) -> list[Value]:
    width = _classifier(flow, node, attributes, {b"NONE"})
    trees.check(attributes, width=width, classes=len(flow.schema.classes))
    return [Value("label", 1), Value("score", len(flow.schema.classes))]


def _linear(flow: Flow, node: NodeProto, attributes: Mapping[str, Any]) -> list[Value]:
    width = _classifier(flow, node, attributes, {b"LOGISTIC", b"SOFTMAX"})
    classes = len(flow.schema.classes)
    _finite(attributes, "coefficients", classes * width)
    _finite(attributes, "intercepts", classes)
    return [Value("label", 1), Value("score", classes)]


def _normalizer(flow: Flow, node: NodeProto, attributes: Mapping[str, Any]) -> list[Value]:
    require(attributes.get("norm") == b"L1", "the norm of Normalizer is not L1")
    return flow.inputs(node, "score", 1)


def _classifier(flow: Flow, node: NodeProto, attributes: Mapping[str, Any], after: set[bytes]) -> int:
    """Check what all classifiers have in common; return the number of columns it reads."""
    [value] = flow.inputs(node, "number", 1)
    require(not flow.classified, "it has two classifiers")
    flow.classified = True
    require(not value.folded, "the input of the classifier has the wrong rank")
    labels = tuple(_decoded(attributes.get("classlabels_strings", ())))
    require(labels == flow.schema.classes, "its class labels are not those of its schema")
    require(attributes.get("post_transform") in after, "the transformation of its scores is not allowed")
    return value.width


def _finite(attributes: Mapping[str, Any], name: str, length: int) -> None:
    values = np.array(attributes.get(name, ()), dtype=np.float32)
    require(len(values) == length, f"{name} has {len(values)} values; {length} are required")
    require(bool(np.isfinite(values).all()), f"{name} contains a value that is not a finite number")


def _decoded(texts: Any) -> list[str]:  # noqa: ANN401 - protobuf
    try:
        return [text.decode() for text in texts]
    except UnicodeDecodeError as error:
        raise GraphError("a text in it is not UTF-8") from error


_RULES: Final[Mapping[str, Callable[[Flow, NodeProto, Mapping[str, Any]], list[Value]]]] = {
    "Concat": _concat,
    "Gather": _gather,
    "LinearClassifier": _linear,
    "Normalizer": _normalizer,
    "OneHotEncoder": _one_hot,
    "Reshape": _reshape,
    "Scaler": _scaler,
    "TreeEnsembleClassifier": _trees,
}
