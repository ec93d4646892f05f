"""The V2 inference protocol for a model of tabular data: metadata, requests and responses. Pure.

The model server writes metadata and responses, a client writes requests; `tabular.requests` parses those.
https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tabular import inputs
from tabular.predictions import Predictions
from tabular.requests import TYPES, Request
from tabular.schema import CATEGORIES, LABEL, NUMBERS, PROBABILITIES, ModelSchema

if TYPE_CHECKING:
    import pyarrow as pa


def write_response(name: str, request: Request, predictions: Predictions) -> bytes:
    """The body of a response: one label per row, and one probability per row and class."""
    rows, classes = predictions.probabilities.shape
    outputs: dict[str, dict[str, Any]] = {
        LABEL: {"name": LABEL, "datatype": "BYTES", "shape": [rows], "data": predictions.labels.tolist()},
        PROBABILITIES: {
            "name": PROBABILITIES,
            "datatype": "FP32",
            "shape": [rows, classes],
            "data": predictions.probabilities.ravel().tolist(),
        },
    }
    document: dict[str, Any] = {"model_name": name}
    if request.identity is not None:
        document["id"] = request.identity
    document["outputs"] = [outputs[each] for each in request.outputs or (LABEL, PROBABILITIES)]
    return json.dumps(document, separators=(",", ":")).encode()


def metadata(name: str, schema: ModelSchema) -> dict[str, Any]:
    """The metadata of the model: its inputs and outputs, categories and classes."""
    return {
        "name": name,
        "platform": "onnx",
        "inputs": [
            {"name": each.name, "datatype": TYPES[each.kind], "shape": [-1]}
            | ({"parameters": {"categories": list(each.categories)}} if each.categories else {})
            for each in schema.features
        ],
        "outputs": [
            {"name": LABEL, "datatype": "BYTES", "shape": [-1]},
            {"name": PROBABILITIES, "datatype": "FP32", "shape": [-1, len(schema.classes)]},
        ],
        "parameters": {"classes": list(schema.classes)},
    }


def request(schema: ModelSchema, table: "pa.Table") -> dict[str, Any]:
    """The request for the rows of a table: one tensor for each feature.

    Raises:
        InputError: A feature is missing or has the wrong type, or a cell is not valid.
    """
    feeds = inputs.from_table(schema, table)
    columns = {}
    for kind, names in ((NUMBERS, schema.numbers), (CATEGORIES, schema.categorical)):
        for place, name in enumerate(names):
            columns[name] = feeds[kind][:, place].tolist()
    return {
        "inputs": [
            {
                "name": each.name,
                "datatype": TYPES[each.kind],
                "shape": [table.num_rows],
                "data": columns[each.name],
            }
            for each in schema.features
        ]
    }


def read_response(document: Any, rows: int, schema: ModelSchema) -> Predictions:  # noqa: ANN401 - JSON
    """Parse the response to a request of `rows` rows.

    Raises:
        ValueError: It does not have one label of the schema and one probability per class for each row.
    """
    try:
        outputs = {each["name"]: each["data"] for each in document["outputs"]}
        labels = np.array(outputs[LABEL], dtype=object)
        probabilities = np.array(outputs[PROBABILITIES], dtype=np.float32)
        known = set(labels.tolist()) <= set(schema.classes)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"it has no valid {LABEL} and {PROBABILITIES}") from error
    if labels.shape != (rows,) or not known:
        raise ValueError("it does not have one label of the schema for each row")
    if probabilities.size != rows * len(schema.classes):
        raise ValueError("it does not have one probability for each row and class")
    return Predictions(labels, probabilities.reshape(rows, len(schema.classes)))
