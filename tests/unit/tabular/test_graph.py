"""Every reason to refuse an ONNX file, each with such a file; what the pipelines write is accepted."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper
from support.models import Tables, tables, with_categories

from tabular import graph, trees, wire
from tabular.graph import ModelRefusedError
from tabular.schema import ModelSchema

Change = Callable[[onnx.ModelProto], None]


def _model(algorithm: str = "decision-tree") -> tuple[onnx.ModelProto, ModelSchema]:
    fitted = _DATA.fit(algorithm, n_estimators=2, max_depth=4)
    return onnx.ModelProto.FromString(fitted.onnx), fitted.schema


_DATA: Tables = with_categories(120)
_MADE = {name: _model(name) for name in ("decision-tree", "random-forest", "logistic-regression")}


def _copy(algorithm: str = "decision-tree") -> tuple[onnx.ModelProto, ModelSchema]:
    model, schema = _MADE[algorithm]
    return onnx.ModelProto.FromString(model.SerializeToString()), schema


def _check(tmp_path: Path, content: bytes, schema: ModelSchema) -> bytes:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    return graph.check(path, schema)


def _refused(tmp_path: Path, content: bytes, schema: ModelSchema, words: str) -> None:
    with pytest.raises(ModelRefusedError, match=f"(?i){words}"):
        _check(tmp_path, content, schema)


def _node(model: onnx.ModelProto, operator: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == operator)


def _attribute(model: onnx.ModelProto, operator: str, name: str) -> AttributeProto:
    return next(each for each in _node(model, operator).attribute if each.name == name)


def _tree(model: onnx.ModelProto, name: str) -> Any:
    attribute = _attribute(model, "TreeEnsembleClassifier", name)
    return attribute.ints or attribute.floats or attribute.strings


def _set(name: str, index: int, value: Any) -> Change:
    def change(model: onnx.ModelProto) -> None:
        _tree(model, name)[index] = value

    return change


def _branch(model: onnx.ModelProto, after: int = 0) -> int:
    modes = list(_tree(model, "nodes_modes"))
    return modes.index(b"BRANCH_LEQ", after)


def _leaf(model: onnx.ModelProto) -> int:
    return list(_tree(model, "nodes_modes")).index(b"LEAF")


def _cycle(model: onnx.ModelProto) -> None:
    inner = _branch(model, 1)
    _tree(model, "nodes_truenodeids")[inner] = inner


def _back_to_root(model: onnx.ModelProto) -> None:
    _tree(model, "nodes_truenodeids")[_branch(model, 1)] = 0


def _shared(model: onnx.ModelProto) -> None:
    inner = _branch(model, 1)
    _tree(model, "nodes_truenodeids")[inner] = _tree(model, "nodes_falsenodeids")[inner]


def _leaf_with_child(model: onnx.ModelProto) -> None:
    _tree(model, "nodes_truenodeids")[_leaf(model)] = 1


def _weight_of_a_branch(model: onnx.ModelProto) -> None:
    _tree(model, "class_nodeids")[0] = _branch(model)


def _shorter(name: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        del _tree(model, name)[-1]

    return change


def _without_attribute(name: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        node = _node(model, "TreeEnsembleClassifier")
        kept = [each for each in node.attribute if each.name != name]
        del node.attribute[:]
        node.attribute.extend(kept)

    return change


def _leaf_without_weight(model: onnx.ModelProto) -> None:
    """All weights of the last leaf go to the one before it."""
    nodes = _tree(model, "class_nodeids")
    last = max(nodes)
    other = max(node for node in nodes if node != last)
    for index, node in enumerate(nodes):
        if node == last:
            nodes[index] = other


TREES: dict[str, tuple[Change, str]] = {
    "child index too large": (_set("nodes_truenodeids", 0, 10_000), "a node that does not exist"),
    "negative child index": (_set("nodes_falsenodeids", 0, -1), "a node that does not exist"),
    "cycle of one node": (_cycle, "reached twice"),
    "cycle to the root": (_back_to_root, "reached twice"),
    "shared branch": (_shared, "reached twice"),
    "leaf with a child": (_leaf_with_child, "a leaf has a child"),
    "column index too large": (_set("nodes_featureids", 0, 8), "reads a column outside its 8 inputs"),
    "negative column index": (_set("nodes_featureids", 0, -1), "reads a column outside its 8 inputs"),
    "class index too large": (_set("class_ids", 0, 3), "a class outside the 3"),
    "negative class index": (_set("class_ids", 0, -1), "a class outside the 3"),
    "weight of a missing node": (
        _set("class_nodeids", 0, 10_000),
        "weight belongs to a node that does not exist",
    ),
    "weight of a missing tree": (_set("class_treeids", 0, 7), "weight belongs to a node that does not exist"),
    "weight of a branch": (_weight_of_a_branch, "weight belongs to a branch"),
    "leaf without a weight": (_leaf_without_weight, "a leaf has no weight"),
    "unequal lengths of nodes": (_shorter("nodes_values"), "different lengths"),
    "unequal lengths of weights": (_shorter("class_ids"), "different lengths"),
    "array left out": (_without_attribute("nodes_treeids"), "no nodes_treeids"),
    "threshold that is NaN": (_set("nodes_values", 0, float("nan")), "nodes_values contains"),
    "weight that is infinite": (_set("class_weights", 0, float("inf")), "class_weights contains"),
    "other comparison": (_set("nodes_modes", 0, b"BRANCH_EQ"), "neither a leaf nor"),
    "trees out of order": (_set("nodes_treeids", 0, 1), "trees are not numbered"),
    "nodes out of order": (_set("nodes_nodeids", 1, 5), "nodes of a tree are not numbered"),
}


@pytest.mark.parametrize("case", TREES)
def test_invalid_trees_are_refused(case: str, tmp_path: Path) -> None:
    model, schema = _copy()
    change, words = TREES[case]
    change(model)
    _refused(tmp_path, model.SerializeToString(), schema, words)


@pytest.mark.parametrize("algorithm", _MADE)
def test_models_of_the_pipelines_are_accepted(algorithm: str, tmp_path: Path) -> None:
    model, schema = _copy(algorithm)
    content = model.SerializeToString()
    assert _check(tmp_path, content, schema) == content


def test_tree_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    model, schema = _copy()
    node = _node(model, "TreeEnsembleClassifier")
    depth = trees.MAX_DEPTH + 1
    count = 2 * depth + 1  # a chain of branches, each with one leaf beside the next branch
    leaf = [index % 2 == 1 or index == count - 1 for index in range(count)]
    leaves = [index for index in range(count) if leaf[index]]
    chain: dict[str, Any] = {
        "nodes_falsenodeids": [0 if leaf[index] else index + 2 for index in range(count)],
        "nodes_truenodeids": [0 if leaf[index] else index + 1 for index in range(count)],
        "nodes_modes": ["LEAF" if each else "BRANCH_LEQ" for each in leaf],
        "nodes_nodeids": list(range(count)),
        "nodes_values": [0.5] * count,
        "class_nodeids": leaves,
        "class_weights": [1.0] * len(leaves),
        **{name: [0] * len(leaves) for name in ("class_ids", "class_treeids")},
        **{
            name: [0] * count
            for name in ("nodes_featureids", "nodes_treeids", "nodes_missing_value_tracks_true")
        },
        "nodes_hitrates": [1.0] * count,
    }
    del node.attribute[:]
    node.attribute.extend(helper.make_attribute(name, value) for name, value in chain.items())
    node.attribute.append(helper.make_attribute("classlabels_strings", list(schema.classes)))
    node.attribute.append(helper.make_attribute("post_transform", "NONE"))
    _refused(tmp_path, model.SerializeToString(), schema, f"deeper than {trees.MAX_DEPTH}")


def _rename_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "other"


def _wider_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3


def _huge_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2**62


def _double_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def _fixed_rows(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 7


def _third_output(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("concat_result", TensorProto.FLOAT, [None, 6]))


def _numbered_labels(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64


def _other_labels(model: onnx.ModelProto) -> None:
    _tree(model, "classlabels_strings")[0] = b"other"


def _labels_that_are_no_text(model: onnx.ModelProto) -> None:
    _tree(model, "classlabels_strings")[0] = b"\xff\xfe"


def _more_labels(model: onnx.ModelProto) -> None:
    _tree(model, "classlabels_strings").append(b"more")


def _other_categories(model: onnx.ModelProto) -> None:
    _attribute(model, "OneHotEncoder", "cats_strings").strings[0] = b"other"


def _fails_at_unknown(model: onnx.ModelProto) -> None:
    _attribute(model, "OneHotEncoder", "zeros").i = 0


def _foreign_domain(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _foreign_operator(model: onnx.ModelProto) -> None:
    _node(model, "TreeEnsembleClassifier").domain = "com.microsoft"


def _standard_operator(name: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node.insert(0, helper.make_node(name, ["numbers"], ["spare"]))

    return change


def _foreign_attribute(model: onnx.ModelProto) -> None:
    _node(model, "Concat").attribute.append(helper.make_attribute("spare", 1))


def _attribute_of_another_type(model: onnx.ModelProto) -> None:
    axis = _attribute(model, "Concat", "axis")
    axis.CopyFrom(helper.make_attribute("axis", "1"))


def _attribute_of_two_types(model: onnx.ModelProto) -> None:
    _attribute(model, "Concat", "axis").s = b"1"


def _repeated_attribute(model: onnx.ModelProto) -> None:
    _node(model, "Concat").attribute.append(helper.make_attribute("axis", 0))


def _gather_beyond(model: onnx.ModelProto) -> None:
    place = _node(model, "Gather").input[1]
    tensor = next(each for each in model.graph.initializer if each.name == place)
    tensor.CopyFrom(helper.make_tensor(place, TensorProto.INT64, [1], [2]))


def _gather_rows(model: onnx.ModelProto) -> None:
    _attribute(model, "Gather", "axis").i = 0


def _reshape_to_rows(model: onnx.ModelProto) -> None:
    tensor = next(each for each in model.graph.initializer if each.name == "shape_tensor")
    tensor.CopyFrom(helper.make_tensor("shape_tensor", TensorProto.INT64, [2], [-1, 1]))


def _reshape_by_a_node(model: onnx.ModelProto) -> None:
    _node(model, "Reshape").input[1] = "numbers"


def _huge_constant(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 2**40


def _negative_constant(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = -1


def _constant_in_ranks(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims.append(1)


def _constant_of_floats(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = TensorProto.FLOAT


def _two_constants_of_one_name(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(model.graph.initializer[0])


def _constant_for_an_input(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("numbers", TensorProto.INT64, [1], [1]))


def _axis_over_rows(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type == "Concat":
            node.attribute[0].i = 0


def _output_given_twice(model: onnx.ModelProto) -> None:
    second = [node for node in model.graph.node if node.op_type == "Gather"][1]
    second.output[0] = _node(model, "Gather").output[0]


def _use_before_definition(model: onnx.ModelProto) -> None:
    first = model.graph.node[0]
    model.graph.node.append(first)
    del model.graph.node[0]


def _no_classifier(model: onnx.ModelProto) -> None:
    del model.graph.node[-1]


def _two_classifiers(model: onnx.ModelProto) -> None:
    second = model.graph.node.add()
    second.CopyFrom(_node(model, "TreeEnsembleClassifier"))
    second.output[0], second.output[1] = "label2", "probabilities2"


def _softmax_of_trees(model: onnx.ModelProto) -> None:
    _attribute(model, "TreeEnsembleClassifier", "post_transform").s = b"PROBIT"


def _many_nodes(model: onnx.ModelProto) -> None:
    model.graph.node.extend([helper.make_node("Gather", ["a"], ["b"])] * (graph.MAX_NODES + 1))


GRAPHS: dict[str, tuple[Change, str]] = {
    "input of another name": (_rename_input, "its inputs are 'other'"),
    "input of another width": (_wider_input, r"'numbers' float32 \['rows', 3\]"),
    "input of a huge width": (_huge_input, "its inputs are"),
    "input of another type": (_double_input, "'numbers' type 11"),
    "fixed number of rows": (_fixed_rows, "its outputs are 'label' text"),
    "third output": (_third_output, "its outputs are"),
    "labels that are numbers": (_numbered_labels, "its outputs are 'label' type 7"),
    "labels of other classes": (_other_labels, "class labels are not those"),
    "labels that are not text": (_labels_that_are_no_text, "not UTF-8"),
    "more labels than classes": (_more_labels, "class labels are not those"),
    "categories of another schema": (_other_categories, "categories of 'c"),
    "encoder that fails": (_fails_at_unknown, "fails on an unknown category"),
    "foreign operator set": (_foreign_domain, "com.microsoft"),
    "operator of a foreign domain": (_foreign_operator, "microsoft.TreeEnsembleClassifier is not"),
    "standard operator not listed": (_standard_operator("Loop"), "ai.onnx.Loop is not allowed"),
    "operator that doesn't exist": (_standard_operator("Shell"), "ai.onnx.Shell is not allowed"),
    "attribute that is not listed": (_foreign_attribute, "attribute 'spare'"),
    "attribute of another type": (_attribute_of_another_type, "attribute 'axis'"),
    "attribute of two types": (_attribute_of_two_types, "values of two types"),
    "repeated attribute": (_repeated_attribute, "attribute 'axis'"),
    "column of text beyond the row": (_gather_beyond, "a column that does not exist"),
    "rows picked, not columns": (_gather_rows, "does not select text columns"),
    "rows made of columns": (_reshape_to_rows, "more than the rank"),
    "shape from the input": (_reshape_by_a_node, "a value and a constant"),
    "constant of huge dimensions": (_huge_constant, "not a short list"),
    "constant of negative dimensions": (_negative_constant, "not a short list"),
    "constant of two dimensions": (_constant_in_ranks, "not a short list"),
    "constant of another type": (_constant_of_floats, "not a short list"),
    "two constants of one name": (_two_constants_of_one_name, "have the same name"),
    "constant in place of an input": (_constant_for_an_input, "same name as an input"),
    "rows joined, not columns": (_axis_over_rows, "does not join columns"),
    "repeated value name": (_output_given_twice, "is used twice"),
    "value used before its definition": (_use_before_definition, "not a text"),
    "no classifier": (_no_classifier, "it has no classifier"),
    "two classifiers": (_two_classifiers, "two classifiers"),
    "other transformation of scores": (_softmax_of_trees, "transformation of its scores"),
    "too many nodes": (_many_nodes, "the limit is 10000"),
}  # fmt: skip


@pytest.mark.parametrize("case", GRAPHS)
def test_other_graphs_are_refused(case: str, tmp_path: Path) -> None:
    model, schema = _copy()
    change, words = GRAPHS[case]
    change(model)
    _refused(tmp_path, model.SerializeToString(), schema, words)


def _subgraph(model: onnx.ModelProto) -> None:
    _node(model, "Concat").attribute.append(
        helper.make_attribute("body", helper.make_graph([], "inner", [], []))
    )


def _function(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("slipway", "Own", [], [], [], []))


def _external_data(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/hostname")


def _sparse(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add()


def _training(model: onnx.ModelProto) -> None:
    model.training_info.add()


def _sequence(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.CopyFrom(
        helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [None]))
    )


def _tensor_attribute(model: onnx.ModelProto) -> None:
    tensor = helper.make_tensor("t", TensorProto.FLOAT, [1], [1.0])
    _node(model, "Concat").attribute.append(helper.make_attribute("value", tensor))


def _overload(model: onnx.ModelProto) -> None:
    model.graph.node[0].overload = "other"


STRUCTURES: dict[str, Change] = {
    "subgraph": _subgraph,
    "function": _function,
    "external data": _external_data,
    "sparse constant": _sparse,
    "training information": _training,
    "sequence as input": _sequence,
    "tensor as attribute": _tensor_attribute,
    "overloaded operator": _overload,
}


@pytest.mark.parametrize("case", STRUCTURES)
def test_other_structures_are_refused(case: str, tmp_path: Path) -> None:
    model, schema = _copy()
    STRUCTURES[case](model)
    _refused(tmp_path, model.SerializeToString(), schema, "is not allowed")


def test_repeated_field_is_refused(tmp_path: Path) -> None:
    model, schema = _copy()
    content = model.SerializeToString()
    second = onnx.ModelProto(graph=onnx.GraphProto(name="x")).SerializeToString()
    _refused(tmp_path, content + second, schema, "field 7 at byte .* is repeated")


def test_unknown_field_is_refused(tmp_path: Path) -> None:
    model, schema = _copy()
    _refused(tmp_path, model.SerializeToString() + b"\xfa\x3f\x01x", schema, "field 1023")


def test_packed_list_of_numbers_is_refused(tmp_path: Path) -> None:
    """Parsers take both forms; one is enough."""
    _, schema = _copy()
    attribute = b"\x42\x02\x01\x01"  # ints, packed
    node = b"\x2a" + bytes([len(attribute)]) + attribute
    content = b"\x0a" + bytes([len(node)]) + node
    _refused(tmp_path, b"\x3a" + bytes([len(content)]) + content, schema, "field 8 of type 2")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "its inputs are none"),
        (b"\x80\x04\x95", "not allowed"),
        (b"\x3a\xff\xff\xff\xff\x0f", "truncated"),
        (b"\x08" + b"\xff" * 11, "truncated or too long"),
        (b"\x08", "truncated or too long"),
        (b"\x88\x00\x08", "encoding is not canonical"),
    ],
    ids=["empty", "pickle", "length beyond the end", "endless number", "no number", "number in a long form"],
)
def test_bytes_that_are_not_a_model_are_refused(content: bytes, words: str, tmp_path: Path) -> None:
    _refused(tmp_path, content, _MADE["decision-tree"][1], words)


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    model, schema = _copy()
    content = model.SerializeToString()
    for length in range(0, len(content), 37):
        _refused(tmp_path, content[:length], schema, "not a permitted model")


def test_many_empty_messages_are_refused_unparsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message takes 2 bytes in the file and about 100 once parsed."""
    monkeypatch.setattr(graph.onnx, "ModelProto", None)
    nodes = b"\x0a\x00" * (wire.MAX_FIELDS + 1)
    size = len(nodes)
    length = bytes([(size & 0x7F) | 0x80, (size >> 7 & 0x7F) | 0x80, size >> 14])
    _refused(tmp_path, b"\x3a" + length + nodes, _MADE["decision-tree"][1], "more than 200000 fields")


def test_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, schema = _copy()
    monkeypatch.setattr(graph, "MAX_BYTES", 100)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("it was read"))
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.write(model.SerializeToString())
    with pytest.raises(ModelRefusedError, match="the limit is"):
        graph.check(path, schema)


LINEAR: dict[str, tuple[Change, str]] = {
    "fewer coefficients": (
        lambda model: _attribute(model, "LinearClassifier", "coefficients").floats.pop(),
        "coefficients has 23 values",
    ),
    "fewer intercepts": (
        lambda model: _attribute(model, "LinearClassifier", "intercepts").floats.pop(),
        "intercepts has 2 values",
    ),
    "shorter scale": (lambda model: _attribute(model, "Scaler", "scale").floats.pop(), "scale has 1 values"),
    "offset that is NaN": (
        lambda model: _attribute(model, "Scaler", "offset").floats.__setitem__(0, float("nan")),
        "offset contains a value",
    ),
    "other norm": (
        lambda model: setattr(_attribute(model, "Normalizer", "norm"), "s", b"MAX"),
        "norm of Normalizer",
    ),
    "probabilities of another node": (
        lambda model: _node(model, "Normalizer").output.__setitem__(0, "other"),
        "not the outputs of its classifier",
    ),
}


@pytest.mark.parametrize("case", LINEAR)
def test_other_linear_models_are_refused(case: str, tmp_path: Path) -> None:
    model, schema = _copy("logistic-regression")
    change, words = LINEAR[case]
    change(model)
    _refused(tmp_path, model.SerializeToString(), schema, words)


def test_model_of_another_schema_is_refused(tmp_path: Path) -> None:
    other = tables(np.random.default_rng(0).normal(size=(60, 3)), ["a", "b", "c"] * 20).fit("decision-tree")
    model, _ = _copy()
    _refused(tmp_path, model.SerializeToString(), other.schema, "its inputs are 'numbers'")


def test_flipped_bits_never_raise_another_error(tmp_path: Path) -> None:
    """A changed byte is accepted or raises ModelRefusedError, never another exception."""
    model, schema = _copy()
    content = bytearray(model.SerializeToString())
    random = np.random.default_rng(0)
    refused = 0
    for place in random.integers(0, len(content), 400):
        kept = content[place]
        content[place] ^= 1 << int(random.integers(0, 8))
        try:
            _check(tmp_path, bytes(content), schema)
        except ModelRefusedError:
            refused += 1
        content[place] = kept
    assert refused > 200
    assert struct.unpack("<I", content[:4]) == struct.unpack("<I", model.SerializeToString()[:4])
