"""Removes what a test created, whether it passed or not."""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from storage.client import error_code
from storage.conformance.context import Context

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def clean(context: Context) -> tuple[str, ...]:
    """Remove objects, versions, uploads, buckets and users of the test; return what could not be removed."""
    left = context.administration.remove()
    if context.bucket not in context.buckets:
        left += _emptied(context.client, context.bucket, context.prefix)
    for bucket in reversed(context.buckets):
        left += _emptied(context.client, bucket, "")
        left += _removed(context.client, bucket)
    return tuple(left)


def _emptied(client: "S3Client", bucket: str, prefix: str) -> list[str]:
    try:
        _abort(client, bucket, prefix)
        _delete(client, bucket, prefix)
    except (ClientError, BotoCoreError) as error:
        return [] if _is_missing_bucket(error) else [f"objects of {bucket}/{prefix}: {_reason(error)}"]
    return []


def _abort(client: "S3Client", bucket: str, prefix: str) -> None:
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
        for upload in page.get("Uploads", ()):
            client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def _delete(client: "S3Client", bucket: str, prefix: str) -> None:
    """Delete every version if the bucket is versioned, else every object."""
    if client.get_bucket_versioning(Bucket=bucket).get("Status"):
        for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
            for version in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]:
                client.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    for listed in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        # One by one: DeleteObjects needs a checksum algorithm that not every store supports.
        for entry in listed.get("Contents", ()):
            client.delete_object(Bucket=bucket, Key=entry["Key"])


def _removed(client: "S3Client", bucket: str) -> list[str]:
    try:
        client.delete_bucket(Bucket=bucket)
    except (ClientError, BotoCoreError) as error:
        return [] if _is_missing_bucket(error) else [f"bucket {bucket}: {_reason(error)}"]
    return []


def _is_missing_bucket(error: Exception) -> bool:
    return isinstance(error, ClientError) and error_code(error) == "NoSuchBucket"


def _reason(error: Exception) -> str:
    return error_code(error) if isinstance(error, ClientError) else type(error).__name__
