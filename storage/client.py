"""The one place that opens an S3 client, and turns its errors into words."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.response import StreamingBody
from pydantic import SecretStr

from slipway.core import atomic_files
from slipway.core.errors import StoreError, UsageError
from storage.causes import UNREADABLE, Cause, cause_of, certificate_reason, explain, skew
from storage.checksums import encoded_sha256
from storage.keys import StoreKey
from storage.missing_object import tell_missing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 60
RETRIES: Final = 5
"""With the pauses before them 15.5 s. With four, at most 7.5 s, a read failed during a restart."""

_FIRST_PAUSE_SECONDS: Final = 0.5

_AWAY: Final = frozenset({Cause.UNREACHABLE, Cause.CUT})


@dataclass(frozen=True, kw_only=True)
class StoreAccess:
    """All that it takes to speak to a store."""

    endpoint: str | None
    """URL; None for AWS itself."""

    region: str
    key: StoreKey | None = field(default=None, repr=False)
    """None takes the identity that the process runs with, such as a ServiceAccount's role."""

    session_token: SecretStr | None = field(default=None, repr=False)
    """Goes with a key that is valid for a time."""

    ca: str | None = field(default=None, repr=False)
    """Certificate of the authority that signed the store's, as PEM; None for the public ones."""

    path_style: bool = True
    """Whether the bucket stands in the path and not in the host's name."""


def open_store(
    access: StoreAccess,
    *,
    connect_seconds: float = CONNECT_SECONDS,
    read_seconds: float = READ_SECONDS,
    retries: int = RETRIES,
) -> "S3Client":
    """Open a client for the S3 endpoint.

    It waits `connect_seconds` for a connection and `read_seconds` for each piece of an answer, and
    after the first attempt makes up to `retries` more where another may end better.
    """
    client = boto3.client(
        "s3",
        endpoint_url=access.endpoint,
        region_name=access.region,
        aws_access_key_id=access.key.access_key if access.key else None,
        aws_secret_access_key=access.key.secret_key.get_secret_value() if access.key else None,
        aws_session_token=access.session_token.get_secret_value() if access.session_token else None,
        verify=str(ca_file(access.ca)) if access.ca else None,
        config=Config(
            connect_timeout=connect_seconds,
            read_timeout=read_seconds,
            retries={"max_attempts": retries, "mode": "standard"},
            s3={"addressing_style": "path" if access.path_style else "virtual"},
            max_pool_connections=32,
        ),
    )
    client.meta.events.register("before-parse.s3", _readable_error)
    client.meta.events.register_first("needs-retry.s3", _patience(retries))
    client.meta.events.register("provide-client-params.s3.PutObject", _checksum_first)
    if access.key is None:  # a role, which AWS alone gives
        tell_missing(client)
    return client


def _checksum_first(params: dict[str, Any], **_: object) -> None:
    """Send the checksum of bytes that are all there in a header, before them.

    Over TLS botocore would send it behind them, in a last chunk of its own. A store that refuses the write
    by its headers (If-None-Match, say) may close before that chunk, and the refusal would be lost: the
    Versity gateway does, and a rival's win read as a broken connection.
    """
    body = params.get("Body")
    if isinstance(body, bytes) and not any(name.startswith("Checksum") for name in params):
        params["ChecksumSHA256"] = encoded_sha256(hashlib.sha256(body).hexdigest())


def _readable_error(response_dict: dict[str, Any], **_: object) -> None:
    """Give an error answer with a checksum a body again.

    MinIO answers so where it found an object, with its checksum, but can't read its bytes. botocore
    takes the checksum for the error's own, has lost the body, and fails on what it put there
    (boto/boto3#4754).
    """
    if response_dict["status_code"] >= 300 and isinstance(response_dict["body"], StreamingBody):
        response_dict["body"] = f"<Error><Code>{UNREADABLE}</Code></Error>".encode()


def _patience(retries: int) -> Callable[..., Any]:
    """Return what makes a client wait for a store that is away, as one is while it restarts.

    botocore's own pauses are random, so that all of them together may last one second or twenty, and it
    gives up at once where a connection with TLS broke off. To a store that is busy its random pauses are
    the right ones: many clients then don't come back at the same moment.
    """

    def pause(
        response: tuple[object, dict[str, Any]] | None,
        attempts: int,
        caught_exception: Exception | None = None,
        **_: object,
    ) -> float | None:
        code = response[1].get("Error", {}).get("Code", "") if response else type(caught_exception).__name__
        away = cause_of(code, str(caught_exception)) in _AWAY
        return pause_after(attempts) if away and attempts <= retries else None

    return pause


def pause_after(attempts: int) -> float:
    """Return the seconds to wait after so many attempts: half a second, and each time twice as long."""
    return _FIRST_PAUSE_SECONDS * 2.0 ** (attempts - 1)


def ca_file(pem: str) -> Path:
    """Keep an authority's certificate in a file, which is the only way to hand it to a TLS library."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = base / "slipway" / "ca" / f"{hashlib.sha256(pem.encode()).hexdigest()[:16]}.pem"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_files.replace(path, pem)
    return path


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an `s3://` URI; the key may be empty."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise UsageError(f"{uri!r} is not an S3 URI.", fix="Give one such as s3://bucket/folder/data.csv.")
    return bucket, key


def error_code(error: ClientError) -> str:
    """The store's own code, such as `NoSuchKey`; of a HEAD, which has no body, MinIO says it in a header."""
    code = str(error.response.get("Error", {}).get("Code", "unknown"))
    return _headers(error).get("x-minio-error-code", code) if code.isdigit() else code


def is_missing(error: ClientError) -> bool:
    """Whether the store answered that the object is not there."""
    return error_code(error) in {"NoSuchKey", "404", "NotFound"}


def is_precondition(error: ClientError) -> bool:
    """Whether a conditional write lost: 412, or S3's 409 for two writes at the same moment."""
    return error_code(error) in {"PreconditionFailed", "412", "ConditionalRequestConflict"}


@contextmanager
def translated_errors(what: str) -> Iterator[None]:
    """Turn the store's errors into a StoreError that says what was wanted and why it failed."""
    try:
        yield
    except ClientError as error:
        raise _refused(what, error) from error
    except BotoCoreError as error:
        raise _unanswered(what, error) from error


def _refused(what: str, error: ClientError) -> StoreError:
    """Put a store's answer in words."""
    answer: dict[str, Any] = dict(error.response.get("Error", {}))
    headers = _headers(error)
    code = error_code(error)
    message = str(headers.get("x-minio-error-desc") or answer.get("Message", ""))
    cause = cause_of(code, message)
    found = explain(cause, message)
    says, why = found.says, found.why
    if cause is Cause.BUCKET_MISSING and "BucketName" in answer:
        says = f"the bucket {answer['BucketName']} does not exist"
    if cause is Cause.CLOCK_SKEW:
        why = f"{why} {skew(headers.get('date', ''), datetime.now(UTC))}"
    return _told(what, cause, says, f"{code}: {why}", found.fix)


def _unanswered(what: str, error: BotoCoreError) -> StoreError:
    """Put what the client saw instead of an answer in words."""
    name, message = type(error).__name__, str(error)
    cause = cause_of(name, message)
    found = explain(cause, message)
    why = certificate_reason(message) if cause is Cause.CERTIFICATE else found.why
    parts = urlsplit(str(error.kwargs.get("endpoint_url") or ""))
    at = f" at {parts.scheme}://{parts.netloc}" if parts.netloc else ""
    return _told(what, cause, found.says, f"{name}{at}: {why}", found.fix)


def _told(what: str, cause: Cause, says: str, why: str, fix: str) -> StoreError:
    return StoreError(f"Could not {what}: {says}.", cause=cause, why=why.strip(" :"), fix=fix)


def _headers(error: ClientError) -> dict[str, str]:
    return error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
