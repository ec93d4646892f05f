"""What every kind of store gives to the rest of the program."""

from dataclasses import dataclass
from typing import Literal

import pulumi

from storage.layout import Buckets


@dataclass(frozen=True, kw_only=True)
class StoreHandle:
    """A store that answers: its address inside the cluster, and what to wait for."""

    kind: Literal["minio", "s3", "external"]
    buckets: Buckets
    region: str
    internal_endpoint: str
    """URL from inside the cluster."""

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
