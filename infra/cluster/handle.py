"""The handle that every kind of cluster returns to the program.

Nothing outside `infra/cluster/` can tell an embedded cluster from one in a cloud.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path

import pulumi
import pulumi_kubernetes

from infra.builder import Builder
from infra.cluster.registry_login import RegistryLogin


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image reference for pods, and the resource that makes the image available."""

    reference: str
    """Known in every preview: by the registry's digest or one computed from the image's inputs."""

    ready: pulumi.Resource | None = None
    """Imports the image into the node's image store; None where it is pulled from a registry."""

    def after(self, *others: pulumi.Resource) -> list[pulumi.Resource]:
        """Return the dependencies of a workload that runs this image: the image and `others`."""
        return [*others] if self.ready is None else [self.ready, *others]


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images of the platform's own workloads."""

    minio: Image
    kserve_controller: Image
    gateway: Image
    pipelines: Image
    model_server: Image
    katib_controller: Image | None = None
    katib_db_manager: Image | None = None
    mariadb: Image | None = None
    """Katib's database. The three are None where Katib is off."""

    @classmethod
    def built(cls, image: Callable[[str], Image], *, katib: bool) -> "Images":
        """Return images that are built where the program runs.

        Args:
            image: declares the image of a name, such as `model-server`.
            katib: whether Katib is on.
        """
        wanted = [each.name for each in fields(cls) if katib or each.default is MISSING]
        return cls(**{name: image(name.replace("_", "-")) for name in wanted})

    @classmethod
    def pulled(cls, references: Iterable[tuple[str, str]]) -> "Images":
        """Return images that nodes pull, from their names here and their references."""
        return cls(**{name: Image(reference=reference) for name, reference in references})


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """URLs of the platform from outside the cluster; known before the cluster exists."""

    gateway: str
    store: str | None
    """The store's S3 API; None where the store is not in the cluster."""

    console: str | None
    """MinIO's web console; None where it is off."""

    kfp: str


@dataclass(frozen=True, kw_only=True)
class NodePorts:
    """Ports of the nodes that lead to the Services, and whom they don't serve."""

    gateway: int
    store: int | None
    console: int | None
    kfp: int | None
    """None where it is not published: the pipelines API asks for no login."""

    pods: str | None
    """Addresses of pods: they use the Services, under the network policies of each. None if not known."""


@dataclass(frozen=True, kw_only=True)
class LoadBalancers:
    """Load balancers that lead to the gateway, and to the store where it is in the cluster."""

    store: bool
    console: bool
    annotations: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Routes:
    """A Gateway of the Gateway API and the hosts of its routes, as of `gateway_routes.documents`."""

    gateway_class: str
    issuer: str
    hosts: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Connection:
    """How a resource of the provider `slipway` reaches the cluster."""

    kubeconfig: pulumi.Input[str] | None = None
    """Its content, a secret."""

    kubeconfig_path: str | None = None
    """Where there is no content; None for the default of kubectl."""

    context: str | None = None
    """Of the kubeconfig; its current one by default."""

    @property
    def inputs(self) -> dict[str, pulumi.Input[str] | None]:
        """The inputs of such a resource that say it."""
        return {
            "kubeconfig": self.kubeconfig,
            "kubeconfigPath": self.kubeconfig_path,
            "context": self.context,
        }


@dataclass(frozen=True, kw_only=True)
class ClusterHandle:
    """A cluster that the rest of the program deploys to."""

    provider: pulumi_kubernetes.Provider
    connection: Connection
    images: Images
    endpoints: Endpoints
    kubeconfig: Path | None
    """Path on this machine; None for kubectl's default."""

    context: str | None = None
    """Of the kubeconfig; its current one if None."""

    login: RegistryLogin = field(default_factory=RegistryLogin)
    """The account with which nodes pull the images."""

    builder: Builder | None = None
    """With which `up` renders parts of upstream that are not in the cache; None where it refuses them."""

    cert_manager: bool = False
    """Whether its own cert-manager issues the certificates of webhooks; else a Job of Slipway's does."""

    node_ports: NodePorts | None = None
    """Where the endpoints are ports of the nodes."""

    load_balancers: LoadBalancers | None = None
    """Where they are load balancers."""

    routes: Routes | None = None
    """Where they are routes of a Gateway."""
