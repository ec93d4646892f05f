"""Proof that a key is what it should be: by using it, never by asking about it."""

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
"""What a store answers to an access key that it does not have; a wrong secret is told otherwise."""

_PATIENCE_SECONDS: Final = 30.0
"""How long the nodes of one store may differ: they tell each other of users."""
_RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True)
class CredentialVerifier:
    """Verifies the keys of one tenant by using them on the store."""

    access: StoreAccess
    """Where the store is; its key is not used."""

    buckets: Buckets
    tenant: str
    patience: float = _PATIENCE_SECONDS

    def prove_valid(self, role: StoreRole, key: StoreKey) -> None:
        """Read what the role may read, and be refused what is not the tenant's.

        Raises:
            FailedError: The key opens too little, or too much.
        """
        bucket, prefix = _own(self.tenant, role, self.buckets)
        self._expect(OPEN, key, bucket, prefix, f"list s3://{bucket}/{prefix}")
        self._expect(DENIED, key, bucket, "", f"list all of s3://{bucket}")

    def prove_dead(self, role: StoreRole, key: StoreKey) -> None:
        """Be told that the store does not know the role's key; raises FailedError if it still does."""
        bucket, prefix = _own(self.tenant, role, self.buckets)
        self._expect(UNKNOWN, key, bucket, prefix, f"list s3://{bucket}/{prefix}")

    def prove_accounts_dead(self, accounts: Iterable[str]) -> None:
        """Be told that the store does not know these access keys.

        Their secrets are not known here. None is needed: to one that exists a store answers that the
        signature does not match.
        """
        bucket, prefix = _own(self.tenant, StoreRole.SERVER, self.buckets)
        for account in accounts:
            made_up = StoreKey(access_key=account, secret_key=SecretStr(secrets.token_urlsafe(24)))
            self._expect(UNKNOWN, made_up, bucket, prefix, f"list s3://{bucket}/{prefix}")

    def _expect(self, wanted: str, key: StoreKey, bucket: str, prefix: str, what: str) -> None:
        expect(wanted, replace(self.access, key=key), bucket, prefix, what, patience=self.patience)


def expect(
    wanted: str,
    access: StoreAccess,
    bucket: str,
    prefix: str,
    what: str,
    *,
    patience: float = _PATIENCE_SECONDS,
) -> None:
    """Ask until the store answers as it has to.

    Raises:
        FailedError: It keeps to another answer.
    """
    ask = answer(access, bucket, prefix)
    code = poll(ask, lambda code: code == wanted, seconds=patience, interval=_RETRY_SECONDS)
    if code != wanted:
        name = access.key.access_key if access.key else "nobody"
        raise FailedError(
            f"The store answered {code} where key {name} asked to {what}.",
            why=f"It has to answer {wanted}.",
            fix="Check with `slipway status` that the store is up, and run the command again.",
        )


def answer(access: StoreAccess, bucket: str, prefix: str) -> Callable[[], str]:
    """Return a question that is answered with OK, the store's own code, or the network's error."""
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
