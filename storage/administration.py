"""A store's administrator, by MinIO's admin API: what users made for themselves."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import urllib3
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException
from urllib3.exceptions import HTTPError

from storage.client import StoreAccess, ca_file
from storage.errors import FailedError, UsageError

_CONNECT_SECONDS: Final = 3
_READ_SECONDS: Final = 20
_ATTEMPTS: Final = 3


def open_admin(access: StoreAccess) -> MinioAdmin:
    """Open the admin API with the administrator's key.

    Raises:
        UsageError: There is no endpoint or no key to open it with.
    """
    if access.key is None or access.endpoint is None:
        raise UsageError("The store has no administrator's key that Slipway knows.")
    parts = urlsplit(access.endpoint)
    return MinioAdmin(
        endpoint=parts.netloc,
        credentials=StaticProvider(access.key.access_key, access.key.secret_key.get_secret_value()),
        region=access.region,
        secure=parts.scheme == "https",
        # Of its own, because the default one keeps trying for minutes without a word.
        http_client=urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
            retries=urllib3.Retry(_ATTEMPTS, backoff_factor=0.5, redirect=False),
            ca_certs=str(ca_file(access.ca)) if access.ca else None,
        ),
    )


def accounts_of(admin: MinioAdmin, user: str) -> tuple[str, ...]:
    """Return the access keys of the service accounts that a user made; none for a user that is gone."""
    listed = json.loads(admin.list_service_account(user)).get("accounts") or ()
    return tuple(sorted(str(account["accessKey"]) for account in listed))


@contextmanager
def administering(what: str) -> Iterator[None]:
    """Turn the admin API's errors into a FailedError that says what was wanted."""
    try:
        yield
    except MinioAdminException as error:
        raise FailedError(
            f"The store refused to {what}.",
            why=f"{getattr(error, '_code', 'unknown')}: the administrator's key was not taken.",
        ) from error
    except HTTPError as error:
        raise FailedError(
            f"The store did not answer when asked to {what}.",
            why=f"{type(error).__name__}.",
            fix="Check with `slipway status` that it is up, and run the command again.",
        ) from error
