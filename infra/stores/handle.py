"""What every kind of store gives to the rest of the program."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import urlsplit

import pulumi

from storage.keys import Role, StoreKey
from storage.layout import Buckets
from storage.settings import StoreTenant


class TenantCredentials(Protocol):
    """How a tenant's workloads prove to a store who they are: by a key, or by what they run as."""

    def key(self, tenant: StoreTenant, role: Role) -> pulumi.Output[StoreKey] | None:
        """Return the role's key as a secret; None where the store is keyless."""

    def annotations(self, tenant: StoreTenant, role: Role) -> Mapping[str, pulumi.Input[str]]:
        """Return what the role's ServiceAccount carries; nothing where the store wants a key."""


@dataclass(frozen=True, kw_only=True)
class StoreHandle:
    """A store that answers: where, how it is spoken to, and what to wait for."""

    kind: Literal["minio", "s3", "external"]
    buckets: Buckets
    region: str
    endpoint: str
    """URL from outside the cluster."""

    internal_endpoint: str
    """URL from inside the cluster."""

    path_style: bool
    ca_certificate: pulumi.Input[str] | None
    """PEM of the authority that signed the store's certificate; None for a public one."""

    namespace: str | None
    """Where the store's pods are; None outside the cluster."""

    identity_agent: str | None = None
    """Addresses (CIDR) at whose port 80 workloads ask for their role; None where nobody is asked."""

    credentials: TenantCredentials
    keyless: bool
    ready: pulumi.Resource
    """Once this is made, the buckets, policies and every tenant's keys are in place."""

    @property
    def tls(self) -> bool:
        """Return whether the store speaks TLS inside the cluster."""
        return self.internal_endpoint.startswith("https://")

    @property
    def internal_host(self) -> str:
        """Return host and port without scheme, as KServe's annotations want it."""
        return self.internal_endpoint.partition("://")[2]

    @property
    def port(self) -> int:
        """Return the port that workloads reach the store at."""
        return urlsplit(self.internal_endpoint).port or (443 if self.tls else 80)
