"""Checks a user's data file or a data set of scikit-learn, and uploads it under its digest."""

import csv
import re
from pathlib import Path
from typing import Final, Literal

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict

from infra.contract import PlatformOutputs
from storage.client import StoreAccess, is_missing, open_store, split_uri, translated_errors
from storage.transfer.running import Progress
from storage.transfer.transfers import Transfers, Upload, unwatched
from tabular.reader import inspect
from tabular.schema import ReadOptions, Split
from tabular.summary import Summary

Sample = Literal["iris", "wisconsin"]
_NAME_LENGTH: Final = 80


class PreparedData(BaseModel):
    """A file that training accepts, and its summary."""

    model_config = ConfigDict(frozen=True)

    path: Path
    summary: Summary

    @property
    def object_name(self) -> str:
        """Name of the object in the store: the file's name without special characters, with its format."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", self.path.stem).strip(".-") or "data"
        return f"{name[:_NAME_LENGTH]}.{self.summary.format}"


class StoredData(BaseModel):
    """Data in the store, as in a pipeline's parameters."""

    model_config = ConfigDict(frozen=True)

    uri: str
    sha256: str
    created: bool


def sample(name: Sample, folder: Path, split: Split | None = None) -> PreparedData:
    """Write a data set of scikit-learn as CSV, and prepare it."""
    from sklearn.datasets import load_breast_cancer, load_iris  # noqa: PLC0415 - slow, and only this needs it

    bunch = load_iris() if name == "iris" else load_breast_cancer()
    header = [str(each).removesuffix(" (cm)").replace(" ", "_") for each in bunch.feature_names]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*header, "target"])
        for row, label in zip(bunch.data.tolist(), bunch.target.tolist(), strict=True):
            writer.writerow([*row, bunch.target_names[label]])
    return prepare(path, split=split)


def prepare(path: Path, options: ReadOptions | None = None, split: Split | None = None) -> PreparedData:
    """Check that training accepts the file; raises `tabular.table_error.TableError` if not."""
    return PreparedData(path=path, summary=inspect(path, options, split))


def upload(
    access: StoreAccess,
    outputs: PlatformOutputs,
    tenant: str,
    data: PreparedData,
    progress: Progress = unwatched,
) -> StoredData:
    """Upload the file to the tenant's data, addressed by its digest.

    Raises:
        StoreError: The store did not accept it.
        FailedError: The file changed since it was checked.
    """
    sha256 = data.summary.sha256
    uri = f"{outputs.tenant(tenant).data_uri}/{sha256}/{data.object_name}"
    bucket, key = split_uri(uri)
    if _exists(access, bucket, key, data):
        return StoredData(uri=uri, sha256=sha256, created=False)
    Transfers(access).upload(bucket, [Upload(data.path, key, sha256)], progress)
    return StoredData(uri=uri, sha256=sha256, created=True)


def _exists(access: StoreAccess, bucket: str, key: str, data: PreparedData) -> bool:
    client = open_store(access)
    try:
        with translated_errors(f"look for {data.path.name}"):
            try:
                return client.head_object(Bucket=bucket, Key=key)["ContentLength"] == data.summary.size
            except ClientError as error:
                if not is_missing(error):
                    raise
                return False
    finally:
        client.close()
