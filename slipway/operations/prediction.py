"""Query a served model for the rows of a file, in batches; all rows are checked before the first is sent."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import ValidationError

from infra.contract import PlatformOutputs
from serving import access, predict
from serving.endpoint import CHAMPION
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report, silent
from storage.client import split_uri
from storage.registry.model_files import download
from storage.registry.records import ModelVersion
from storage.registry.registry import Registry
from tabular.files import SCHEMA
from tabular.predictions import Predictions
from tabular.rows import RowFile
from tabular.schema import ModelSchema

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Ask = Callable[[str, ModelSchema, pa.Table], Predictions]
REQUEST_BYTES: Final = 2 << 20
"""Approximate maximum size of a request, in bytes; the model server accepts 8 MiB."""
NUMBER_BYTES: Final = 24
"""Most bytes of a number in JSON."""


@dataclass(frozen=True)
class Answers:
    """A model's predictions for the rows of a file."""

    model: str
    version: str
    classes: tuple[str, ...]
    labels: NDArray[np.uint16]
    """Index of each row's class in `classes`."""
    probabilities: NDArray[np.float32]
    """Probability of each row's class."""
    notes: tuple[str, ...]
    """Notes for the user: columns that were ignored, categories that the model does not know."""


def ask_rows(
    outputs: PlatformOutputs,
    tenant: str,
    model: str,
    data: Path,
    report: Report = silent,
    ask: Ask = predict.ask,
) -> Answers:
    """Query the model for every row of a file.

    Raises:
        UsageError: No such model is served, or the file does not fit it; no request was sent.
        FailedError: The model did not answer.
    """
    version, schema = _served(outputs, tenant, model)
    rows = RowFile(data, schema)
    count = rows.check()
    notes = _notes(rows)
    url = predict.url_of(outputs, tenant, model)
    index_of = {name: index for index, name in enumerate(schema.classes)}
    labels, probabilities = [], []
    done = 0
    for table in _requests(rows.batches()):
        answer = _answer(ask, url, schema, table)
        codes = np.array([index_of[label] for label in answer.labels], dtype=np.uint16)
        labels.append(codes)
        probabilities.append(answer.probabilities[np.arange(len(codes)), codes])
        done += table.num_rows
        report(f"{done:,} of {count:,} rows")
    return Answers(
        model=model,
        version=version.digest,
        classes=schema.classes,
        labels=np.concatenate(labels),
        probabilities=np.concatenate(probabilities),
        notes=notes,
    )


def _answer(ask: Ask, url: str, schema: ModelSchema, table: pa.Table) -> Predictions:
    try:
        return ask(url, schema, table)
    except predict.NotAnsweringError as error:
        raise FailedError(
            error.what, why=error.why, fix="See `slipway model list` for what is served."
        ) from error


def _served(outputs: PlatformOutputs, tenant: str, model: str) -> tuple[ModelVersion, ModelSchema]:
    """Return the version that is served under a name, and its schema."""
    client = access.open_store(outputs, tenant, "editor")
    try:
        registry = Registry(client, outputs.store.models_bucket, tenant)
        champion = registry.read_alias(model, CHAMPION)
        if champion is None:
            raise UsageError(
                f"No model {model!r} of {tenant} is served.", fix="See `slipway model list` for what is."
            )
        version = registry.show(model, champion.record.digest)
        return version, read_schema(client, version)
    finally:
        client.close()


def read_schema(client: "S3Client", version: ModelVersion) -> ModelSchema:
    """Read only the schema of a published version.

    Raises:
        FailedError: It is missing, or not the one in the version's manifest.
    """
    bucket, prefix = split_uri(version.storage_uri)
    listed = {file.path: file for file in version.files}
    content: list[bytes] = []
    problem = "It has no schema."
    if SCHEMA in listed:
        read = download(client, bucket, f"{prefix}/{SCHEMA}", SCHEMA, content.append)
        problem = "" if read == listed[SCHEMA] else "Its schema is not the one that was published."
    if not problem:
        try:
            return ModelSchema.model_validate_json(b"".join(content))
        except ValidationError:
            problem = "Its schema is of another version of Slipway."
    raise FailedError(
        f"Version {version.digest[:12]} of {version.model} can't be asked.",
        why=problem,
        fix="Train and promote it again.",
    )


def _requests(batches: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Split batches into tables that fit a request."""
    for batch in batches:
        waiting = [batch]
        while waiting:
            table = waiting.pop()
            if table.num_rows > 1 and _size(table) > REQUEST_BYTES:
                half = table.num_rows // 2
                waiting += [table.slice(half), table.slice(0, half)]
            else:
                yield table


def _size(table: pa.Table) -> int:
    """Return the most bytes of a request, unless its text has many characters that JSON must escape."""
    return int(NUMBER_BYTES * table.num_rows * table.num_columns + 2 * table.nbytes)


def _notes(rows: RowFile) -> tuple[str, ...]:
    ignored = [f"Ignored: column {name!r}, which the model was not trained on." for name in rows.ignored]
    unknown = [
        f"{count:,} cells of column {name!r} hold values that the model does not know."
        for name, count in rows.unknown.items()
    ]
    return (*ignored, *unknown)
