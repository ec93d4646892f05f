"""Queries a served model with the V2 inference protocol, through the platform's gateway."""

from typing import TYPE_CHECKING, Final

import httpx

from infra.contract import PlatformOutputs
from slipway.core.errors import FailedError
from tabular import v2
from tabular.predictions import Predictions
from tabular.schema import ModelSchema

if TYPE_CHECKING:
    import pyarrow as pa

TIMEOUT_SECONDS: Final = 15.0


class NotAnsweringError(FailedError):
    """The endpoint can't be reached or isn't ready; a retry may help."""


def url_of(outputs: PlatformOutputs, tenant: str, model: str) -> str:
    """Return the URL of a model's V2 endpoint, without a verb."""
    namespace = outputs.tenant(tenant).namespace
    base = outputs.serving.endpoint.rstrip("/")
    return f"{base}/serving/{namespace}/{model}/v2/models/{model}"


def ask(url: str, schema: ModelSchema, table: "pa.Table", *, timeout: float = TIMEOUT_SECONDS) -> Predictions:
    """Return a served model's predictions for the rows of a table; columns are matched by name.

    Raises:
        InputError: A feature is missing or has the wrong type, or a cell is not valid.
        NotAnsweringError: The endpoint can't be reached, or is not ready.
        FailedError: It refused the rows, or did not return a class for each.
    """
    body = v2.request(schema, table)
    try:
        answer = httpx.post(f"{url}/infer", json=body, timeout=timeout)
    except httpx.HTTPError as error:
        raise NotAnsweringError(f"{url} does not answer.", why=f"{type(error).__name__}: {error}") from error
    if answer.status_code in {404, 429} or answer.status_code >= 500:
        raise NotAnsweringError(f"{url} answered {answer.status_code}.", why=answer.text[:300])
    if answer.status_code != 200:
        raise FailedError(f"{url} refused the rows with {answer.status_code}.", why=answer.text[:300])
    try:
        return v2.read_response(answer.json(), table.num_rows, schema)
    except ValueError as error:
        raise FailedError(
            f"{url} answered something else than a class and probabilities for each row.",
            why=f"{error}: {answer.text[:300]}",
        ) from error
