"""MinIO's clients for a store's administrator: users' service accounts, and the causes of errors."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import urllib3
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import InvalidResponseError, MinioAdminException, S3Error, ServerError
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    MaxRetryError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from slipway.core.errors import StoreError, UsageError
from storage.causes import Cause, cause_of, explain
from storage.client import StoreAccess

_CONNECT_SECONDS: Final = 3
_READ_SECONDS: Final = 20
_RETRIES: Final = 3

ERRORS: Final = (MinioAdminException, S3Error, ServerError, InvalidResponseError, HTTPError)
"""What MinIO's clients raise when a store refuses or can't be reached."""

OTHER_KEY: Final = (
    "Restart a store of the stack's own, so that it reads its Secret again; "
    "for an external one set slipway:storeAdmin to its administrator's key."
)
OF_THE_KEY: Final = frozenset({Cause.UNKNOWN_KEY, Cause.WRONG_SECRET, Cause.FORBIDDEN})
"""Causes whose usual fix is for a tenant's key; here the key is the administrator's."""

_NETWORK: Final = {
    ConnectTimeoutError: "ConnectTimeoutError",
    NewConnectionError: "EndpointConnectionError",
    ReadTimeoutError: "ReadTimeoutError",
    SSLError: "SSLError",
    ProtocolError: "ConnectionClosedError",
}
"""urllib3's exceptions and botocore's names for the same."""


def open_admin(access: StoreAccess, *, retries: int = _RETRIES) -> MinioAdmin:
    """Open the admin API with the administrator's key.

    Raises:
        UsageError: There is no endpoint or no key to open it with.
    """
    if access.key is None or access.endpoint is None:
        raise UsageError("Slipway has no administrator's key for the store.")
    parts = urlsplit(access.endpoint)
    return MinioAdmin(
        endpoint=parts.netloc,
        credentials=StaticProvider(access.key.access_key, access.key.secret_key.get_secret_value()),
        region=access.region,
        secure=parts.scheme == "https",
        http_client=http_pool(access, retries=retries),
    )


def http_pool(access: StoreAccess, *, retries: int) -> urllib3.PoolManager:
    """Return connections for MinIO's clients: their default ones retry for minutes without any output."""
    return urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
        retries=urllib3.Retry(retries, backoff_factor=0.5, redirect=False),
        ca_cert_data=access.ca,
    )


def accounts_of(admin: MinioAdmin, user: str) -> tuple[str, ...]:
    """Return the access keys of the service accounts that a user made; none for a deleted user."""
    listed = json.loads(admin.list_service_account(user)).get("accounts") or ()
    return tuple(sorted(str(account["accessKey"]) for account in listed))


def code_of(error: Exception) -> str:
    """Return the code that `storage.causes` uses for what MinIO's clients raised."""
    match error:
        case S3Error():
            return str(error.code)
        case MinioAdminException():
            # A store without the admin API returns an error in S3's form.
            code = re.search(r'"Code":"(\w+)"', str(error)) or re.search(r"<Code>(\w+)</Code>", str(error))
            return code[1] if code else type(error).__name__
        case InvalidResponseError():
            # From a proxy, or an error without its type: the code if there is one, else the status.
            code = re.search(r"<Code>(\w+)</Code>", str(error)) or re.search(r"code: (\d+)", str(error))
            return code[1] if code else type(error).__name__
        case ServerError():
            return str(error.status_code)
        case MaxRetryError() if error.reason is not None:
            return code_of(error.reason)
    return next((code for kind, code in _NETWORK.items() if isinstance(error, kind)), type(error).__name__)


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error of the admin API; 0 for any other error."""
    status = re.search(r"Status: (\d+)", str(error)) if isinstance(error, MinioAdminException) else None
    return int(status[1]) if status else 0


@contextmanager
def administering(what: str) -> Iterator[None]:
    """Turn the errors of MinIO's clients into a StoreError that says what failed and why."""
    try:
        yield
    except ERRORS as error:
        code = code_of(error)
        message = str(error.message) if isinstance(error, S3Error) else ""
        known = explain(cause_of(code, message), message)
        raise StoreError(
            f"Could not {what}: {known.summary}.",
            cause=known.cause,
            why=f"{code}: {known.why}".strip(" :"),
            fix=OTHER_KEY if known.cause in OF_THE_KEY else known.fix,
        ) from error
