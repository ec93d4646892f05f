"""Records in a bucket: read whole and validated, written conditionally."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import ClientError
from pydantic import ValidationError

from slipway.core.errors import FailedError
from storage.client import is_missing, is_precondition, translated_errors
from storage.registry.records import Entry

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_RECORD_BYTES: Final = 4 << 20
ABSENT: Final[Mapping[str, Any]] = {"IfNoneMatch": "*"}
"""The condition that the object does not exist yet."""

E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class RecordStore:
    """The records of one bucket."""

    client: "S3Client"
    bucket: str

    def put(self, key: str, entry: Entry, condition: Mapping[str, Any]) -> bool:
        """Write a record conditionally; False if the condition did not hold."""
        with translated_errors(f"write {key}"):
            try:
                self.client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=entry.model_dump_json(indent=1).encode(),
                    ContentType="application/json",
                    **condition,
                )
            except ClientError as error:
                # If-Match on a deleted object returns 404: the condition did not hold either.
                if is_precondition(error) or (is_missing(error) and "IfMatch" in condition):
                    return False
                raise
        return True

    def get(self, key: str, kind: type[E]) -> tuple[E, str] | None:
        """Return a record and its ETag, or None where there is none.

        Raises:
            FailedError: It is not a record of this kind.
        """
        with translated_errors(f"read {key}"):
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
            content = answer["Body"].read(MAX_RECORD_BYTES + 1)
        try:
            return kind.model_validate_json(content), answer["ETag"]
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            raise FailedError(f"{key} is not a valid record.", why=str(problem["msg"])) from error

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly below a prefix, sorted."""
        with translated_errors(f"list {prefix}"):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix, Delimiter="/"
            )
            folders = [str(entry.get("Prefix")) for page in pages for entry in page.get("CommonPrefixes", [])]
        return sorted(folder.removeprefix(prefix).rstrip("/") for folder in folders)
