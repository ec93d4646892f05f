"""What the program knows of a cluster, whichever way it came about.

Every kind of cluster gives the same `ClusterHandle`; nothing outside `infra/cluster/` can tell an
embedded one from one in a cloud.
"""

from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_kubernetes


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image that a pod can name, and what must be done before it can be pulled."""

    reference: str
    """Known in every preview: a registry's digest or one computed from the image's inputs."""

    ready: pulumi.Resource | None = None
    """What puts the image where the node finds it; none where a registry has it already."""

    def after(self, *others: pulumi.Resource) -> list[pulumi.Resource]:
        """Return what a Deployment that runs this image depends on: the image and `others`."""
        return [*others] if self.ready is None else [self.ready, *others]


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images that the platform itself runs."""

    minio: Image
    kserve_controller: Image
    gateway: Image
    pipelines: Image
    model_server: Image


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """URLs at which the platform answers from outside the cluster; known before it exists."""

    gateway: str
    store: str
    console: str | None
    """Of MinIO; None where the settings name none."""

    kfp: str


@dataclass(frozen=True, kw_only=True)
class ClusterHandle:
    """A cluster that the rest of the program can put things on."""

    provider: pulumi_kubernetes.Provider
    images: Images
    kserve_manifests: Path
    """Folder with `crds/*.yaml` and `role.yaml` of the pinned KServe."""

    endpoints: Endpoints
    kubeconfig: Path | None
    """Of a cluster that Slipway made on this machine; none where the user brings one."""
