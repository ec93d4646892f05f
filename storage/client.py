"""Opens S3 clients and translates their errors. The only module that opens one."""

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
from storage.missing_object import distinguish_missing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 60
RETRIES: Final = 5
"""The pauses before them add up to 15.5 s. With four retries, 7.5 s, a read failed during a restart."""

_FIRST_PAUSE_SECONDS: Final = 0.5

_UNAVAILABLE: Final = frozenset({Cause.UNREACHABLE, Cause.CUT})


@dataclass(frozen=True, kw_only=True)
class StoreAccess:
    """Address and credentials of a store."""

    endpoint: str | None
    """URL; None for AWS itself."""

    region: str
    key: StoreKey | None = field(default=None, repr=False)
    """None uses the default credential chain, such as the role of a ServiceAccount."""

    session_token: SecretStr | None = field(default=None, repr=False)
    """Session token of a temporary key."""

    ca: str | None = field(default=None, repr=False)
    """CA certificate of the store, PEM; None for public CAs."""

    path_style: bool = True
    """Whether the bucket is part of the URL's path instead of the host name."""


def open_store(
    access: StoreAccess,
    *,
    connect_seconds: float = CONNECT_SECONDS,
    read_seconds: float = READ_SECONDS,
    retries: int = RETRIES,
) -> "S3Client":
    """Open a client for the S3 endpoint.

    It waits `connect_seconds` for a connection and `read_seconds` for each part of an answer, and makes
    up to `retries` further attempts after errors that may be transient.
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
    client.meta.events.register_first("needs-retry.s3", _retry_delay(retries))
    client.meta.events.register("provide-client-params.s3.PutObject", _send_checksum_first)
    if access.key is None:  # a role, which only AWS has
        distinguish_missing(client)
    return client


def _send_checksum_first(params: dict[str, Any], **_: object) -> None:
    """Send the checksum of a body in memory as a header, before the body.

    Over TLS botocore would send it as a trailer. A store that rejects the write by its headers (such as
    If-None-Match) may close the connection before the trailer, and its answer would be lost: with the
    Versity gateway, a lost race would look like a broken connection.
    """
    body = params.get("Body")
    if isinstance(body, bytes) and not any(name.startswith("Checksum") for name in params):
        params["ChecksumSHA256"] = encoded_sha256(hashlib.sha256(body).hexdigest())


def _readable_error(response_dict: dict[str, Any], **_: object) -> None:
    """Restore the body of an error response that has a checksum header.

    MinIO sends one if it found an object, with its checksum, but can't read its bytes. botocore applies
    the checksum to the error, loses the body, and fails on its replacement (boto/boto3#4754).
    """
    if response_dict["status_code"] >= 300 and isinstance(response_dict["body"], StreamingBody):
        response_dict["body"] = f"<Error><Code>{UNREADABLE}</Code></Error>".encode()


def _retry_delay(retries: int) -> Callable[..., Any]:
    """Return a handler that makes a client wait for an unavailable store, such as one that restarts.

    botocore's own delays are random: all together they may take one second or twenty. It does not retry
    at all if a TLS connection was closed. For an overloaded store its random delays are kept, so that
    clients don't retry at the same moment.
    """

    def pause(
        response: tuple[object, dict[str, Any]] | None,
        attempts: int,
        caught_exception: Exception | None = None,
        **_: object,
    ) -> float | None:
        code = response[1].get("Error", {}).get("Code", "") if response else type(caught_exception).__name__
        unavailable = cause_of(code, str(caught_exception)) in _UNAVAILABLE
        return pause_after(attempts) if unavailable and attempts <= retries else None

    return pause


def pause_after(attempts: int) -> float:
    """Return the seconds to wait after `attempts` attempts: half a second, doubled each time."""
    return _FIRST_PAUSE_SECONDS * 2.0 ** (attempts - 1)


def ca_file(pem: str) -> Path:
    """Store a CA certificate in a cached file, because the TLS libraries accept only a file."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = base / "slipway" / "ca" / f"{hashlib.sha256(pem.encode()).hexdigest()[:16]}.pem"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_files.replace(path, pem)
    return path


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an `s3://` URI; the key may be empty."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise UsageError(f"{uri!r} is not an S3 URI.", fix="Give one such as s3://bucket/folder/data.csv.")
    return bucket, key


def error_code(error: ClientError) -> str:
    """Return the store's error code, such as `NoSuchKey`; for HEAD, MinIO sends it in a header."""
    code = str(error.response.get("Error", {}).get("Code", "unknown"))
    return _headers(error).get("x-minio-error-code", code) if code.isdigit() else code


def is_missing(error: ClientError) -> bool:
    """Whether the store answered that the object does not exist."""
    return error_code(error) in {"NoSuchKey", "404", "NotFound"}


def is_precondition(error: ClientError) -> bool:
    """Whether a conditional write failed: 412, or S3's 409 for two simultaneous writes."""
    return error_code(error) in {"PreconditionFailed", "412", "ConditionalRequestConflict"}


@contextmanager
def translated_errors(what: str) -> Iterator[None]:
    """Translate errors of boto3 into a StoreError that says what failed and why."""
    try:
        yield
    except ClientError as error:
        raise _from_answer(what, error) from error
    except BotoCoreError as error:
        raise _without_answer(what, error) from error


def _from_answer(what: str, error: ClientError) -> StoreError:
    """Return the error for a store's error answer."""
    answer: dict[str, Any] = dict(error.response.get("Error", {}))
    headers = _headers(error)
    code = error_code(error)
    message = str(headers.get("x-minio-error-desc") or answer.get("Message", ""))
    cause = cause_of(code, message)
    explanation = explain(cause, message)
    summary, why = explanation.summary, explanation.why
    if cause is Cause.BUCKET_MISSING and "BucketName" in answer:
        summary = f"the bucket {answer['BucketName']} does not exist"
    if cause is Cause.CLOCK_SKEW:
        why = f"{why} {skew(headers.get('date', ''), datetime.now(UTC))}"
    return _store_error(what, cause, summary, f"{code}: {why}", explanation.fix)


def _without_answer(what: str, error: BotoCoreError) -> StoreError:
    """Return the error for a request without an answer."""
    name, message = type(error).__name__, str(error)
    cause = cause_of(name, message)
    explanation = explain(cause, message)
    why = certificate_reason(message) if cause is Cause.CERTIFICATE else explanation.why
    parts = urlsplit(str(error.kwargs.get("endpoint_url") or ""))
    at = f" at {parts.scheme}://{parts.netloc}" if parts.netloc else ""
    return _store_error(what, cause, explanation.summary, f"{name}{at}: {why}", explanation.fix)


def _store_error(what: str, cause: Cause, summary: str, why: str, fix: str) -> StoreError:
    return StoreError(f"Could not {what}: {summary}.", cause=cause, why=why.strip(" :"), fix=fix)


def _headers(error: ClientError) -> dict[str, str]:
    return error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
