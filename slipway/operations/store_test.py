"""The store that `slipway doctor --store` tests, and its keys, which are never command-line arguments."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from infra.contract import PlatformOutputs
from infra.names import CA_KEY, STORE_NAMESPACE, STORE_ROOT
from serving.cluster import Cluster
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report
from slipway.operations.choices import PolicyMechanism
from storage import conformance
from storage.client import StoreAccess, open_store
from storage.conformance import (
    Administration,
    BucketPolicyAdministration,
    MinioAdministration,
    NoAdministration,
    Refusal,
    StoreReport,
    requirements,
)
from storage.keys import StoreKey

KEY: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""Environment variables of the key that the test uses."""

LIMITED_KEY: Final = ("SLIPWAY_LIMITED_ACCESS_KEY_ID", "SLIPWAY_LIMITED_SECRET_ACCESS_KEY")
"""Environment variables of the user whom the test may limit to a prefix by a bucket policy."""

LIMITED_PRINCIPAL: Final = "SLIPWAY_LIMITED_PRINCIPAL"
"""Environment variable of that user's name in a bucket policy; the access key by default."""

_ROOT_KEY: Final = ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")


@dataclass(frozen=True, kw_only=True)
class StoreUnderTest:
    """A store, the bucket that the test may use (None: any), and how the store limits a key."""

    access: StoreAccess
    bucket: str | None
    administration: Administration

    def run(self, report: Report) -> StoreReport:
        """Test the store; raises as `storage.conformance.run`."""
        return conformance.run(
            self.access, bucket=self.bucket, administration=self.administration, report=report
        )


@dataclass(frozen=True)
class StoreVerdict:
    """What a store can do, and what Slipway refuses to do there."""

    report: StoreReport
    refusals: Sequence[Refusal]


def test(under_test: StoreUnderTest, report: Report) -> StoreVerdict:
    """Test a store; raises as `storage.conformance.run`."""
    result = under_test.run(report)
    return StoreVerdict(result, requirements(result))


def of_stack(outputs: PlatformOutputs) -> StoreUnderTest:
    """Return the stack's own store with its administrator's key.

    Raises:
        UsageError: The stack has no such key, because it did not create its store.
        FailedError: The key can't be read from the cluster.
    """
    store = outputs.store
    if store.kind != "minio":
        raise UsageError(
            f"Stack {outputs.stack!r} has no administrator's key of its store.",
            why=f"The store is of kind {store.kind!r} and was not created by the stack.",
            fix=f"Set {KEY[0]} and {KEY[1]}, and name the store by --endpoint and --region.",
        )
    cluster = Cluster.of(outputs)
    secret = cluster.read_secret(STORE_NAMESPACE, STORE_ROOT)
    key = _key(secret, _ROOT_KEY)
    if key is None:
        raise FailedError(f"Secret {STORE_NAMESPACE}/{STORE_ROOT} holds no administrator's key.")
    access = StoreAccess(
        endpoint=store.endpoint,
        region=store.region,
        key=key,
        ca=_ca_certificate(cluster, outputs),
        path_style=store.path_style,
    )
    return StoreUnderTest(access=access, bucket=None, administration=MinioAdministration(access))


def _ca_certificate(cluster: Cluster, outputs: PlatformOutputs) -> str | None:
    """Return the store's CA certificate, which is in each tenant's namespace."""
    name = outputs.store.ca_config_map
    if name is None:
        return None
    for tenant in outputs.tenants.values():
        return cluster.read_config_map(tenant.namespace, name)[CA_KEY]
    raise UsageError(
        "The store's CA certificate is not available.",
        why=f"It is stored in the namespace of each tenant, and stack {outputs.stack!r} has none.",
        fix="Add tenants/<name>.yaml and bring the stack up.",
    )


def at(
    endpoint: str,
    *,
    region: str,
    bucket: str | None,
    mechanism: PolicyMechanism,
    ca: Path | None,
    environ: Mapping[str, str] = os.environ,
) -> StoreUnderTest:
    """Return any store, with keys from the environment.

    Raises:
        UsageError: A key is missing, or the certificate can't be read.
    """
    key = _key(environ, KEY)
    if key is None:
        raise UsageError(
            "There is no key for the store.",
            why=f"Not set: {', '.join(name for name in KEY if not environ.get(name))}.",
            fix=f"export {KEY[0]}=… {KEY[1]}=…",
        )
    access = StoreAccess(endpoint=endpoint, region=region, key=key, ca=_certificate(ca))
    conformance.check_endpoint(endpoint)
    return StoreUnderTest(
        access=access, bucket=bucket, administration=_administration(mechanism, access, environ)
    )


def _certificate(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} can't be read as a certificate.", why=type(error).__name__) from error


def _administration(
    mechanism: PolicyMechanism, access: StoreAccess, environ: Mapping[str, str]
) -> Administration:
    match mechanism:
        case PolicyMechanism.NONE:
            return NoAdministration()
        case PolicyMechanism.MINIO:
            return MinioAdministration(access)
        case PolicyMechanism.BUCKET_POLICY:
            limited = _key(environ, LIMITED_KEY)
            if limited is None:
                raise UsageError(
                    "There is no user whose key can be limited to a prefix.",
                    why=f"{LIMITED_KEY[0]} and {LIMITED_KEY[1]} must be a key without permissions.",
                    fix="Create such a user in the store and set both variables.",
                )
            principal = environ.get(LIMITED_PRINCIPAL)
            return BucketPolicyAdministration(open_store(access), limited, principal)


def _key(values: Mapping[str, str], names: tuple[str, str]) -> StoreKey | None:
    access_key, secret_key = (values.get(name, "") for name in names)
    if not access_key or not secret_key:
        return None
    return StoreKey(access_key=access_key, secret_key=SecretStr(secret_key))
