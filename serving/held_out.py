"""The rows that promotion evaluates on: read from the tenant's data by digest, and split again.

A run names its data, how it was read and how it was split. This module repeats both, with the same reader
and the same split as the run's steps. Only the held-out rows of a table are kept.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from botocore.exceptions import ClientError
from numpy.typing import NDArray

from slipway.core.errors import FailedError
from storage.client import is_missing, split_uri, translated_errors
from storage.registry.model_files import download
from tabular import reader, split
from tabular.limits import MAX_BYTES
from tabular.schema import ModelSchema, ReadOptions, Split, TableSchema
from tabular.table_error import TableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Labels = NDArray[np.object_]


@dataclass(frozen=True)
class HeldOut:
    """The held-out rows of a table."""

    data_uri: str
    schema: TableSchema
    table: pa.Table
    rows_sha256: str

    @property
    def labels(self) -> Labels:
        """The true class of each row."""
        return labels_of(self.table, self.schema.read.target)


@contextmanager
def fetched(client: "S3Client", uri: str, sha256: str) -> Iterator[Path]:
    """Download a file of the tenant's data, and check its digest.

    Raises:
        FailedError: It does not exist, is too large, or has another digest.
    """
    bucket, key = split_uri(uri)
    with tempfile.TemporaryDirectory(prefix="slipway-data-") as folder:
        path = Path(folder) / "data"
        with translated_errors(f"read {uri}"):
            try:
                size = client.head_object(Bucket=bucket, Key=key)["ContentLength"]
            except ClientError as error:
                if not is_missing(error):
                    raise
                raise FailedError(
                    "The data that the model was trained on does not exist.",
                    why=f"There is no {uri}.",
                    fix="Upload it again, or run the pipeline on other data.",
                ) from error
        if size > MAX_BYTES:
            raise FailedError(
                f"{uri} is too large to evaluate on.",
                why=f"It has {size >> 20} MiB; the limit is {MAX_BYTES >> 20} MiB.",
            )
        with path.open("wb") as file:
            downloaded = download(client, bucket, key, uri, file.write)
        if downloaded.sha256 != sha256:
            raise FailedError(
                "The data is not the data that the run names.",
                why=f"{uri} has SHA-256 {downloaded.sha256[:12]}, the run names {sha256[:12]}.",
                fix="Run the pipeline again.",
            )
        yield path


def read(path: Path, data_uri: str, options: ReadOptions, parts: Split) -> HeldOut:
    """Read a file and keep its held-out rows.

    Raises:
        FailedError: It can't be read or split with these options.
    """
    try:
        data = reader.training_data(path, options, parts)
    except TableError as error:
        raise FailedError(f"{data_uri} can't be evaluated on.", why=error.why, fix=error.fix) from error
    held_out = data.held_out
    return HeldOut(
        data_uri=data_uri,
        schema=data.schema,
        table=data.table.filter(pa.array(held_out)),
        rows_sha256=hashlib.sha256(np.flatnonzero(held_out).astype("<i8").tobytes()).hexdigest(),
    )


def not_trained_on(rows: HeldOut, path: Path, schema: ModelSchema) -> NDArray[np.bool_]:
    """Return for each held-out row whether another model was not trained on an equal row.

    Args:
        rows: Rows with the features of the other model, in the same order.
        path: The data of the other model.
        schema: What the other model was trained on.

    Raises:
        FailedError: Its data can't be read, or does not match its schema.
    """
    other = reader.training_data(path, schema.read, schema.split)
    require_described(other.schema, schema)
    trained = np.unique(feature_keys(other.table, schema.read.target)[~other.held_out])
    seen: NDArray[np.bool_] = np.isin(feature_keys(rows.table, rows.schema.read.target), trained)
    return ~seen


def require_described(data: TableSchema, model: ModelSchema) -> None:
    """Refuse a model whose schema does not match its data.

    Raises:
        FailedError: It does not; the message names the first difference.
    """
    differing = [
        name
        for name in ("data_sha256", "features", "classes", "rows")
        if getattr(data, name) != getattr(model, name)
    ]
    if differing:
        first = differing[0]
        raise FailedError(
            "The model's schema.json does not describe its data.",
            why=f"Its {first} is {_shown(getattr(model, first))}; the data, read and split in the same way, "
            f"has {_shown(getattr(data, first))}.",
            fix="Run the pipeline again.",
        )


def feature_keys(table: pa.Table, target: str) -> NDArray[np.uint64]:
    """Return one hash of all features for each row, in the order of the table."""
    keys = split.first_keys(table.num_rows)
    for name in table.column_names:
        if name != target:
            keys = split.add_column(keys, split.column_hash(table[name]))
    return keys


def labels_of(table: pa.Table, target: str) -> Labels:
    """Return the true class of each row of a table."""
    labels: Labels = np.asarray(table[target].to_pylist(), dtype=object)
    return labels


def drawn(labels: Labels, most: int) -> NDArray[np.int64]:
    """Draw rows from all classes: rare ones first, at least one of each as far as `most` allows.

    Returns:
        Sorted indices of at most `most` rows; those of a class are spread evenly over its rows.
    """
    left, rest = min(most, len(labels)), len(labels)
    chosen: list[int] = []
    for own in sorted((np.flatnonzero(labels == name) for name in np.unique(labels)), key=len):
        share = min(left, max(1, round(left * len(own) / rest)))
        chosen += [int(own[(2 * i + 1) * len(own) // (2 * share)]) for i in range(share)]
        left, rest = left - share, rest - len(own)
    return np.array(sorted(chosen), dtype=np.int64)


def _shown(value: Any) -> str:  # noqa: ANN401 - a field of the schema
    text = str(value)
    return text if len(text) <= 120 else text[:117] + "..."
