"""The rows that promotion evaluates on: read from the tenant's data by digest, and split again.

A run names its data, how it was read and how it was split. Everything else is done here again, with the
same reader and the same split as the run's steps. Of a table only the held-out rows are kept.
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
    """Copy a file of the tenant's data to this disk, and check that it is the one that was named.

    Raises:
        FailedError: It is not there, is too large, or has another digest.
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
                    "The data that the model was trained on is not there.",
                    why=f"There is no {uri}.",
                    fix="Upload it again, or run the pipeline on data that is there.",
                ) from error
        if size > MAX_BYTES:
            raise FailedError(
                f"{uri} is too large to evaluate on.",
                why=f"It has {size >> 20} MiB; the limit is {MAX_BYTES >> 20} MiB.",
            )
        with path.open("wb") as file:
            found = download(client, bucket, key, uri, file.write)
        if found.sha256 != sha256:
            raise FailedError(
                "The data is not the data that the run names.",
                why=f"{uri} has SHA-256 {found.sha256[:12]}, the run names {sha256[:12]}.",
                fix="Run the pipeline again.",
            )
        yield path


def read(path: Path, data_uri: str, options: ReadOptions, parts: Split) -> HeldOut:
    """Read a file and keep its held-out rows.

    Raises:
        FailedError: It can't be read so, or not split so.
    """
    try:
        data = reader.training_data(path, options, parts)
    except TableError as error:
        raise FailedError(f"{data_uri} can't be evaluated on.", why=error.why, fix=error.fix) from error
    out = data.held_out
    return HeldOut(
        data_uri=data_uri,
        schema=data.schema,
        table=data.table.filter(pa.array(out)),
        rows_sha256=hashlib.sha256(np.flatnonzero(out).astype("<i8").tobytes()).hexdigest(),
    )


def not_trained_on(rows: HeldOut, path: Path, schema: ModelSchema) -> NDArray[np.bool_]:
    """Say of each held-out row whether another model was trained on none that is equal to it.

    Args:
        rows: Rows with the features of the other model, in the same order.
        path: The data of the other model.
        schema: What the other model was trained on.

    Raises:
        FailedError: Its data can't be read, or not as its schema says.
    """
    other = reader.training_data(path, schema.read, schema.split)
    require_described(other.schema, schema)
    trained = np.unique(feature_keys(other.table, schema.read.target)[~other.held_out])
    seen: NDArray[np.bool_] = np.isin(feature_keys(rows.table, rows.schema.read.target), trained)
    return ~seen


def require_described(found: TableSchema, model: ModelSchema) -> None:
    """Refuse a model whose schema says something else of its data than the data does.

    Raises:
        FailedError: It does; the message names what.
    """
    differing = [
        name
        for name in ("data_sha256", "features", "classes", "rows")
        if getattr(found, name) != getattr(model, name)
    ]
    if differing:
        first = differing[0]
        raise FailedError(
            "The model's schema.json does not describe its data.",
            why=f"Its {first} is {_shown(getattr(model, first))}; the data, read and split in the same way, "
            f"has {_shown(getattr(found, first))}.",
            fix="Run the pipeline again.",
        )


def feature_keys(table: pa.Table, target: str) -> NDArray[np.uint64]:
    """Return one hash a row of all its features, in the order of the table."""
    keys = split.first_keys(table.num_rows)
    for name in table.column_names:
        if name != target:
            keys = split.add_column(keys, split.column_hash(table[name]))
    return keys


def labels_of(table: pa.Table, target: str) -> Labels:
    """Return the true class of each row of a table."""
    found: Labels = np.asarray(table[target].to_pylist(), dtype=object)
    return found


def drawn(labels: Labels, most: int) -> NDArray[np.int64]:
    """Choose rows from all classes: the rare ones first, at least one of each while there is room.

    Returns:
        Numbers of at most `most` rows, in order; each class gives its share from all over its rows.
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
