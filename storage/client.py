"""The one place that opens an S3 client, and turns its errors into words."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
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


@dataclass(frozen=True, kw_only=True)
class StoreAccess:
    """All that it takes to speak to a store."""

    endpoint: str | None
    """URL; None for AWS itself."""

    region: str
    key: StoreKey | None = field(default=None, repr=False)
    """None takes the identity of the surroundings, such as a ServiceAccount's role."""

    ca: str | None = field(default=None, repr=False)
    """Certificate of the authority that signed the store's, as PEM; None for the public ones."""

    path_style: bool = True
    """Whether the bucket stands in the path and not in the host's name."""


def open_store(access: StoreAccess) -> "S3Client":
    """Open a client for the S3 endpoint."""
    return boto3.client(
        "s3",
        endpoint_url=access.endpoint,
        region_name=access.region,
        aws_access_key_id=access.key.access_key if access.key else None,
        aws_secret_access_key=access.key.secret_key.get_secret_value() if access.key else None,
        verify=str(ca_file(access.ca)) if access.ca else None,
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"max_attempts": ATTEMPTS, "mode": "standard"},
            s3={"addressing_style": "path" if access.path_style else "virtual"},
            max_pool_connections=32,
        ),
    )


def ca_file(pem: str) -> Path:
    """Keep an authority's certificate in a file, which is the only way to hand it to a TLS library."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = base / "slipway" / "ca" / f"{hashlib.sha256(pem.encode()).hexdigest()[:16]}.pem"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}")
        part.write_text(pem)
        part.replace(path)
    return path


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
