"""The handle that every kind of store returns to the program."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import urlsplit

import pulumi

from storage.keys import StoreKey, StoreRole
from storage.layout import Buckets
from storage.settings import StoreTenant


class TenantCredentials(Protocol):
    """How a tenant's workloads authenticate to a store: with a key, or by their ServiceAccount's role."""

    def key(self, tenant: StoreTenant, role: StoreRole) -> pulumi.Output[StoreKey] | None:
        """Return the role's key as a secret; None where the store is keyless."""

    def annotations(self, tenant: StoreTenant, role: StoreRole) -> Mapping[str, pulumi.Input[str]]:
        """Return annotations of the role's ServiceAccount; empty where the store needs a key."""


@dataclass(frozen=True, kw_only=True)
class StoreHandle:
    """A store: its addresses, how to connect to it, and what to wait for."""

    kind: Literal["minio", "s3", "external"]
    buckets: Buckets
    region: str
    endpoint: str
    """URL from outside the cluster."""

    internal_endpoint: str
    """URL from inside the cluster."""

    path_style: bool
    ca_certificate: pulumi.Input[str] | None
    """CA certificate of the store, PEM; None for a public CA."""

    namespace: str | None
    """Namespace of the store's pods; None outside the cluster."""

    identity_agent: str | None = None
    """CIDR of the agent on port 80 that gives workloads their role; None where there is none."""

    credentials: TenantCredentials
    keyless: bool
    ready: pulumi.Resource
    """Once this resource exists, the buckets, policies and every tenant's keys exist."""

    @property
    def tls(self) -> bool:
        """Whether the store uses TLS inside the cluster."""
        return self.internal_endpoint.startswith("https://")

    @property
    def internal_host(self) -> str:
        """Host and port without scheme, as KServe's annotations require."""
        return self.internal_endpoint.partition("://")[2]

    @property
    def port(self) -> int:
        """Port of the store for workloads."""
        return urlsplit(self.internal_endpoint).port or (443 if self.tls else 80)
