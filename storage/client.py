"""The one place that opens an S3 client, and turns its errors into words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from storage.errors import FailedError, UsageError
from storage.keys import StoreKey

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 60
ATTEMPTS: Final = 4

_CAUSES: Final = {
    "AccessDenied": "The key may not do that.",
    "InvalidAccessKeyId": "The store does not know the access key.",
    "SignatureDoesNotMatch": "The secret key is not the one of the access key.",
    "NoSuchBucket": "The bucket does not exist.",
    "NoSuchKey": "The object does not exist.",
    "404": "The object does not exist.",
    "403": "The key may not do that.",
    "XMinioStorageFull": "The store is out of space.",
    "XMinioAdminBucketQuotaExceeded": "The bucket's quota is used up.",
    "SlowDown": "The store asks for fewer requests.",
}


def open_store(endpoint: str | None, key: StoreKey | None, region: str) -> "S3Client":
    """Open a client for the S3 endpoint.

    Args:
        endpoint: URL; None for AWS itself.
        key: None takes the identity of the surroundings, such as a ServiceAccount's role.
        region: Region that requests are signed for.
    """
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key.access_key if key else None,
        aws_secret_access_key=key.secret_key.get_secret_value() if key else None,
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"max_attempts": ATTEMPTS, "mode": "standard"},
            s3={"addressing_style": "path" if endpoint else "auto"},
            max_pool_connections=32,
        ),
    )


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an `s3://` URI; the key may be empty."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise UsageError(f"{uri!r} is not an S3 URI.", fix="Give one such as s3://bucket/folder/data.csv.")
    return bucket, key


def error_code(error: ClientError) -> str:
    """The store's own code, such as `NoSuchKey`."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def is_missing(error: ClientError) -> bool:
    """Whether the store answered that the object is not there."""
    return error_code(error) in {"NoSuchKey", "404", "NotFound"}


def is_precondition(error: ClientError) -> bool:
    """Whether a conditional write lost: 412, or S3's 409 for two writes at the same moment."""
    return error_code(error) in {"PreconditionFailed", "412", "ConditionalRequestConflict"}


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn the store's errors into a FailedError that says what was wanted and why it failed."""
    try:
        yield
    except ClientError as error:
        code = error_code(error)
        cause = _CAUSES.get(code, str(error.response.get("Error", {}).get("Message", "")))
        raise FailedError(f"The store refused to {what}.", why=f"{code}: {cause}") from error
    except BotoCoreError as error:
        raise FailedError(
            f"The store could not {what}.",
            why=f"{type(error).__name__}: {error}",
            fix="Check with `slipway status` that the store is up.",
        ) from error
