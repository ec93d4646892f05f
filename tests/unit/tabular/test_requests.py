"""Requests of the V2 protocol: valid requests, and errors with the name of the column."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.models import Tables, data_sets, with_categories

from tabular import v2
from tabular.inputs import InputError
from tabular.model import Model
from tabular.requests import read_request
from tabular.schema import CATEGORIES, NUMBERS, ModelSchema

MIXED = with_categories(120)
IRIS = data_sets()["iris"]


def _schema(data: Tables) -> ModelSchema:
    return ModelSchema(**data.schema.model_dump(), frameworks={}, parameters={})


def _mixed(**changes: Any) -> dict[str, Any]:
    columns = {
        "n0": {"name": "n0", "datatype": "FP32", "shape": [1], "data": [0.5]},
        "n1": {"name": "n1", "datatype": "FP64", "shape": [1, 1], "data": [[1]]},
        "colour": {"name": "colour", "datatype": "BYTES", "shape": [1], "data": ["red"]},
        "code": {"name": "code", "datatype": "BYTES", "shape": [1], "data": ["01"]},
    }
    for name, change in changes.items():
        columns[name] = columns.get(name, {}) | change
    return {"inputs": [column for column in columns.values() if column]}


def _matrix(**changes: Any) -> dict[str, Any]:
    tensor = {"name": "rows", "datatype": "FP32", "shape": [2, 4], "data": [1, 2, 3, 4, 5, 6, 7, 8.5]}
    return {"inputs": [tensor | changes]}


def _read(document: Any, data: Tables = MIXED) -> Any:
    return read_request(json.dumps(document).encode(), _schema(data))


def test_columns_are_sorted_into_the_models_order() -> None:
    document = _mixed()
    document["inputs"].reverse()
    request = _read(document | {"id": "7"})
    assert request.feeds[NUMBERS].tolist() == [[0.5, 1.0]]
    assert request.feeds[NUMBERS].dtype == np.float32
    assert request.feeds[CATEGORIES].tolist() == [["red", "01"]]
    assert request.identity == "7"


@pytest.mark.parametrize("nested", [False, True])
def test_rows_by_position(nested: bool) -> None:
    changes = {"data": [[1, 2, 3, 4], [5, 6, 7, 8.5]]} if nested else {}
    assert _read(_matrix(**changes), IRIS).feeds[NUMBERS].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8.5]]


def test_one_tensor_named_like_a_column_is_that_column() -> None:
    with pytest.raises(InputError, match="Column 'n1' is missing"):
        _read({"inputs": [{"name": "n0", "datatype": "FP32", "shape": [1], "data": [1]}]}, IRIS)


def test_unknown_category_is_accepted() -> None:
    assert _read(_mixed(colour={"data": ["never seen"]})).feeds[CATEGORIES].tolist() == [["never seen", "01"]]


NUMBER = "It must be a number of datatype FP32"
COLUMNS: dict[str, tuple[dict[str, Any], str]] = {
    "null": ({"n0": {"data": [None]}}, f"'n0' has null. {NUMBER}"),
    "text for a number": ({"n0": {"data": ["1"]}}, f"'n0' has '1'. {NUMBER}"),
    "true for a number": ({"n0": {"data": [True]}}, f"'n0' has True. {NUMBER}"),
    "object for a number": ({"n0": {"data": [{}]}}, f"'n0' has {{}}. {NUMBER}"),
    "beyond float32": ({"n0": {"data": [1e39]}}, "'n0' has 1e+39 in row 1. A number must be finite"),
    "beyond float64": ({"n0": {"data": [10**400]}}, "A number is too large"),
    "fraction for an integer": ({"n0": {"datatype": "INT64"}}, "'n0' has 0.5"),
    "datatype of text": ({"n0": {"datatype": "BYTES"}}, "'n0' has datatype 'BYTES'. It must be FP32"),
    "unknown datatype": ({"n0": {"datatype": "FP128"}}, "'n0' has datatype 'FP128'"),
    "datatype of a number": (
        {"colour": {"datatype": "FP32"}}, "'colour' has datatype 'FP32'. It must be BYTES"
    ),
    "number for text": ({"colour": {"data": [1]}}, "'colour' has 1 in row 1. It must be text"),
    "null for text": ({"colour": {"data": [None]}}, "'colour' has no value in row 1. It must be text"),
    "half a character": ({"colour": {"data": ["\ud800"]}}, "'colour' has text that is not valid Unicode"),
    "unknown column": ({"age": {"name": "age", "datatype": "FP32", "shape": [1], "data": [1]}},
                       "Column 'age' is unknown. The model takes one tensor for each column"),
    "other number of rows": ({"code": {"shape": [2], "data": ["1", "1"]}}, "Column 'code' has shape [2]"),
    "row instead of a column": ({"n0": {"shape": [1, 2], "data": [1, 2]}}, "Column 'n0' has shape [1, 2]"),
    "scalar": ({"n0": {"shape": []}}, "Column 'n0' has shape []"),
    "fewer values than its shape": ({"n0": {"shape": [3]}}, "'n0' has shape [3], but 1 values"),
    "huge shape": ({"n0": {"shape": [2**62, 2**62]}}, "but 1 values"),
    "negative shape": ({"n0": {"shape": [-1]}}, "'n0' has a `shape` that is not"),
    "shape of fractions": ({"n0": {"shape": [1.0]}}, "'n0' has a `shape` that is not"),
    "no shape": ({"n0": {"shape": None}}, "'n0' has a `shape` that is not"),
    "no data": ({"n0": {"data": None}}, "'n0' has no `datatype` or no `data`"),
    "no datatype": ({"n0": {"datatype": None}}, "'n0' has no `datatype` or no `data`"),
    "no name": ({"n0": {"name": None}}, "An input has no `name`"),
    "binary data": ({"n0": {"parameters": {"binary_data_size": 4}}}, "Tensors must be sent as JSON"),
    "unknown member": ({"n0": {"dtype": "FP32"}}, "An input has 'dtype', which is not supported"),
}  # fmt: skip


@pytest.mark.parametrize("case", COLUMNS)
def test_invalid_columns_are_refused(case: str) -> None:
    changes, words = COLUMNS[case]
    with pytest.raises(InputError) as caught:
        _read(_mixed(**changes))
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["n0", "colour"])
def test_missing_column_is_refused(name: str) -> None:
    document = _mixed()
    document["inputs"] = [each for each in document["inputs"] if each["name"] != name]
    with pytest.raises(InputError, match=f"Column '{name}' is missing. The model takes"):
        _read(document)


def test_repeated_column_is_refused() -> None:
    document = _mixed()
    document["inputs"].append(document["inputs"][0])
    with pytest.raises(InputError, match="Column 'n0' appears twice"):
        _read(document)


def test_no_rows_are_refused() -> None:
    empty = {name: {"shape": [0], "data": []} for name in ("n0", "n1", "colour", "code")}
    with pytest.raises(InputError, match=r"has shape \[0\]"):
        _read(_mixed(**empty))


MATRICES: dict[str, tuple[dict[str, Any], str]] = {
    "narrow": ({"shape": [4, 2]}, "its shape [4, 2] is not [rows, 4]"),
    "flat": ({"shape": [8]}, "its shape [8] is not [rows, 4]"),
    "deep": ({"shape": [2, 2, 2]}, "its shape [2, 2, 2] is not [rows, 4]"),
    "no rows": ({"shape": [0, 4], "data": []}, "its shape [0, 4] is not [rows, 4]"),
    "null": ({"data": [1, 2, 3, 4, 5, None, 7, 8]}, "Column 'n1' has null"),
    "beyond float32": ({"data": [1, 2, 3, 4, 5, 6, -1e39, 8]}, "Column 'n2' has -1e+39 in row 2"),
    "text": ({"datatype": "BYTES"}, "has datatype 'BYTES'"),
}


@pytest.mark.parametrize("case", MATRICES)
def test_invalid_matrices_are_refused(case: str) -> None:
    changes, words = MATRICES[case]
    with pytest.raises(InputError) as caught:
        _read(_matrix(**changes), IRIS)
    assert words in str(caught.value)


def test_matrix_for_a_model_with_categories_is_refused() -> None:
    with pytest.raises(InputError, match="Column 'rows' is unknown"):
        _read(_matrix())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{\x00}\x00", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "no `inputs`"),
        (b'{"inputs": []}', "no `inputs`"),
        (b'{"inputs": {}}', "no `inputs`"),
        (b'{"inputs": [1]}', "An input is not a JSON object"),
        (b'{"inputs": [], "inputs": []}', "the same name twice"),
        (b'{"inputs": [NaN]}', "NaN is not a valid JSON number"),
        (b'{"inputs": [-Infinity]}', "-Infinity is not a valid JSON number"),
        (b'{"inputs": [1' + b"0" * 5000 + b"]}", "not JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"rows": []}', "has 'rows', which is not supported"),
        (b'{"id": 7}', "`id` is not text"),
        (b'{"parameters": []}', "parameters that are not supported"),
    ],
)
def test_invalid_bodies_are_refused(body: bytes, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_request(body, _schema(MIXED))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ([{"name": "other"}], "Output 'other' is unknown"),
        ([{"name": "label"}] * 2, "requested twice"),
        ("label", "not a JSON object"),
        ([{}], "Output 'None' is unknown"),
    ],
)
def test_invalid_outputs_are_refused(outputs: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        _read(_mixed() | {"outputs": outputs})


def test_outputs_can_be_chosen(tmp_path: Path) -> None:
    MIXED.fit("decision-tree").write(tmp_path)
    model = Model.load(tmp_path)
    request = _read(_mixed() | {"outputs": [{"name": "label"}]})
    answer = json.loads(v2.write_response("m", request, model.infer(request.feeds)))
    assert [each["name"] for each in answer["outputs"]] == ["label"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["name", "datatype", "shape", "data", "parameters"]), JSON), JSON)
def test_any_tensor_is_parsed_or_refused(tensor: dict[str, Any], outputs: Any) -> None:
    document = {"inputs": [{"name": "n0", "datatype": "FP32", "shape": [1], "data": [1]} | tensor]}
    for data in (IRIS, MIXED):
        with contextlib.suppress(InputError):
            _read(document | {"outputs": outputs}, data)


def test_client_parses_the_servers_response(tmp_path: Path) -> None:
    MIXED.fit().write(tmp_path)
    model = Model.load(tmp_path)
    expected = model.predict(MIXED.held_out)
    request = _read(v2.request(model.schema, MIXED.held_out))
    body = v2.write_response("m", request, model.infer(request.feeds))
    answers = v2.read_response(json.loads(body), MIXED.held_out.num_rows, model.schema)
    assert answers.labels.tolist() == expected.labels.tolist()
    assert np.array_equal(answers.probabilities, expected.probabilities)


@pytest.mark.parametrize(
    "outputs",
    [
        None,
        [],
        [{"name": "label", "data": ["high"]}],
        [{"name": "label", "data": ["high"]}, {"name": "probabilities", "data": [1, 0]}],
        [{"name": "label", "data": ["other"]}, {"name": "probabilities", "data": [1, 0, 0]}],
        [{"name": "label", "data": [1]}, {"name": "probabilities", "data": [1, 0, 0]}],
        [{"name": "label", "data": ["high", "low"]}, {"name": "probabilities", "data": [1, 0, 0]}],
        [{"name": "label", "data": ["high"]}, {"name": "probabilities", "data": ["x", 0, 0]}],
    ],
)
def test_client_refuses_invalid_responses(outputs: Any) -> None:
    with pytest.raises(ValueError, match=r"it (has|does not have)"):
        v2.read_response({"outputs": outputs}, 1, _schema(MIXED))
