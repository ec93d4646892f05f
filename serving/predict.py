"""Ask a served model over the V2 inference protocol, through the platform's gateway."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx
import numpy as np
import pyarrow as pa

from infra.contract import PlatformOutputs
from storage.errors import FailedError
from tabular.predictions import Predictions
from tabular.schema import LABEL, PROBABILITIES, Feature, ModelSchema

TIMEOUT_SECONDS: Final = 15.0


class NotAnsweringError(FailedError):
    """The endpoint can't be reached or isn't ready; asking again may help."""


def url_of(outputs: PlatformOutputs, tenant: str, model: str) -> str:
    """URL of a model's V2 endpoint, without a verb."""
    namespace = outputs.tenant(tenant).namespace
    base = outputs.serving.endpoint.rstrip("/")
    return f"{base}/serving/{namespace}/{model}/v2/models/{model}"


def ask(url: str, schema: ModelSchema, table: pa.Table, *, timeout: float = TIMEOUT_SECONDS) -> Predictions:
    """Answers of a served model to the rows of a table.

    Raises:
        NotAnsweringError: It can't be reached, or is not ready.
        FailedError: It answered something else than a class and probabilities for each row.
    """
    answer = _post(url, named_inputs(schema, table), timeout)
    try:
        outputs = {each["name"]: each["data"] for each in answer.json()["outputs"]}
        labels = np.array([str(each) for each in outputs[LABEL]], dtype=object)
        probabilities = np.array(outputs[PROBABILITIES], dtype=np.float32)
        return Predictions(labels, probabilities.reshape(len(labels), len(schema.classes)))
    except (ValueError, KeyError, TypeError) as error:
        raise FailedError(
            f"{url} answered something else than a class and probabilities for each row.",
            why=answer.text[:300],
        ) from error


def named_inputs(schema: ModelSchema, table: pa.Table) -> dict[str, Any]:
    """The V2 request for the rows of a table: one tensor for each feature, by name."""
    return {"inputs": [_tensor(each, table[each.name]) for each in schema.features]}


def _tensor(feature: Feature, column: pa.ChunkedArray) -> dict[str, Any]:
    number = feature.kind == "number"
    return {
        "name": feature.name,
        "shape": [len(column), 1],
        "datatype": "FP32" if number else "BYTES",
        # As text a float32 is its shortest form; as a Python float it would have 17 digits.
        "data": [float(str(cell)) for cell in column.to_numpy()] if number else column.to_pylist(),
    }


def predict(url: str, rows: Sequence[Sequence[float]], *, timeout: float = TIMEOUT_SECONDS) -> list[int]:
    """Class index that the model gives to each row.

    Raises:
        NotAnsweringError: It can't be reached, or is not ready.
        FailedError: It answered, but not with one class per row.
    """
    if not rows:
        return []
    answer = _post(url, request_body(rows), timeout)
    try:
        return _classes(answer.json(), len(rows))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise FailedError(
            f"{url} answered something else than one class per row.", why=answer.text[:300]
        ) from error


def _post(url: str, body: Mapping[str, Any], timeout: float) -> httpx.Response:
    try:
        answer = httpx.post(f"{url}/infer", json=body, timeout=timeout)
    except httpx.HTTPError as error:
        raise NotAnsweringError(f"{url} does not answer.", why=f"{type(error).__name__}: {error}") from error
    if answer.status_code in {404, 429} or answer.status_code >= 500:
        raise NotAnsweringError(f"{url} answered {answer.status_code}.", why=answer.text[:300])
    if answer.status_code != 200:
        raise FailedError(f"{url} refused the rows with {answer.status_code}.", why=answer.text[:300])
    return answer


def request_body(rows: Sequence[Sequence[float]]) -> dict[str, Any]:
    """The V2 request for one or more rows of equal length."""
    return {
        "inputs": [
            {
                "name": "predict",
                "shape": [len(rows), len(rows[0])],
                "datatype": "FP64",
                "data": [float(value) for row in rows for value in row],
            }
        ]
    }


def _classes(body: Any, count: int) -> list[int]:  # noqa: ANN401 - JSON
    data = body["outputs"][0]["data"]
    classes = [int(value) for value in data]
    if len(classes) != count or any(float(value) != int(value) for value in data):
        raise ValueError("not one class per row")
    return classes
