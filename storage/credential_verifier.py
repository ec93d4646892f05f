"""Verifies store keys by using them."""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from slipway.core.errors import FailedError
from slipway.core.waiting import poll
from storage.client import StoreAccess, error_code, open_store
from storage.keys import StoreKey, StoreRole
from storage.layout import Buckets, runs_prefix, tenant_prefix

OPEN: Final = "OK"
DENIED: Final = "AccessDenied"
UNKNOWN: Final = "InvalidAccessKeyId"
"""The code for an unknown access key; a wrong secret has another code."""

_PATIENCE_SECONDS: Final = 30.0
"""How long the nodes of one store may differ, until a change of users has reached all of them."""
_RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True)
class CredentialVerifier:
    """Verifies the keys of one tenant by using them on the store."""

    access: StoreAccess
    """Address of the store; its key is not used."""

    buckets: Buckets
    tenant: str
    patience: float = _PATIENCE_SECONDS

    def verify_valid(self, role: StoreRole, key: StoreKey) -> None:
        """Verify that a key can list the role's prefix, and not the whole bucket.

        Raises:
            FailedError: The key allows too little or too much.
        """
        bucket, prefix = _own(self.tenant, role, self.buckets)
        self._expect(OPEN, key, bucket, prefix, f"list s3://{bucket}/{prefix}")
        self._expect(DENIED, key, bucket, "", f"list all of s3://{bucket}")

    def verify_revoked(self, role: StoreRole, key: StoreKey) -> None:
        """Verify that the store no longer knows the role's key; raises FailedError if it does."""
        bucket, prefix = _own(self.tenant, role, self.buckets)
        self._expect(UNKNOWN, key, bucket, prefix, f"list s3://{bucket}/{prefix}")

    def verify_accounts_revoked(self, accounts: Iterable[str]) -> None:
        """Verify that the store does not know these access keys.

        Their secrets are unknown and not needed: for an existing access key the store answers that the
        signature does not match.
        """
        bucket, prefix = _own(self.tenant, StoreRole.SERVER, self.buckets)
        for account in accounts:
            probe = StoreKey(access_key=account, secret_key=SecretStr(secrets.token_urlsafe(24)))
            self._expect(UNKNOWN, probe, bucket, prefix, f"list s3://{bucket}/{prefix}")

    def _expect(self, expected: str, key: StoreKey, bucket: str, prefix: str, what: str) -> None:
        expect(expected, replace(self.access, key=key), bucket, prefix, what, patience=self.patience)


def expect(
    expected: str,
    access: StoreAccess,
    bucket: str,
    prefix: str,
    what: str,
    *,
    patience: float = _PATIENCE_SECONDS,
) -> None:
    """List a prefix repeatedly until the store gives the expected answer.

    Raises:
        FailedError: The answer did not become the expected one in time.
    """
    ask = answer(access, bucket, prefix)
    code = poll(ask, lambda code: code == expected, seconds=patience, interval=_RETRY_SECONDS)
    if code != expected:
        name = access.key.access_key if access.key else "none"
        raise FailedError(
            f"The store answered {code} when key {name} tried to {what}.",
            why=f"The expected answer is {expected}.",
            fix="Check with `slipway status` that the store is up, and run the command again.",
        )


def answer(access: StoreAccess, bucket: str, prefix: str) -> Callable[[], str]:
    """Return a function that lists a prefix and returns OK, the store's code, or the client's error."""
    client = open_store(access)

    def ask() -> str:
        try:
            client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
        except ClientError as error:
            return error_code(error)
        except BotoCoreError as error:
            return type(error).__name__
        return OPEN

    return ask


def _own(tenant: str, role: StoreRole, buckets: Buckets) -> tuple[str, str]:
    """Return a bucket and a prefix that the role may list."""
    match role:
        case StoreRole.RUNNER:
            return buckets.artifacts, runs_prefix(tenant)
        case StoreRole.EDITOR:
            return buckets.data, tenant_prefix(tenant)
        case StoreRole.SERVER | StoreRole.PROMOTER | StoreRole.COLLECTOR:
            return buckets.models, tenant_prefix(tenant)
