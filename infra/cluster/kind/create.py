"""What the program declares for a stack of `kind`: its cluster, and the images."""

from pathlib import Path
from typing import Final

import pulumi

from infra.cluster.handle import ClusterHandle, Connection, Endpoints, Images, NodePorts
from infra.cluster.kind import built_images, facts, folder
from infra.cluster.provider import delete_with, kubernetes_provider
from infra.cluster.registry_login import RegistryLogin
from infra.settings.models import KindSettings

_NODE_PORTS: Final = {"gateway": 30080, "store": 30081, "console": 30082, "kfp": 30083}
"""Ports of the node; those of this machine are in the settings."""


class KindCluster(pulumi.CustomResource):
    """A Kubernetes cluster in a container of this machine; ready when its node is ready."""

    kubeconfig: pulumi.Output[str]
    """The administrator's kubeconfig; a secret."""

    state: pulumi.Output[str]

    def __init__(
        self, name: str, inputs: facts.ClusterInputs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the cluster."""
        properties = {
            **inputs.model_dump(mode="json", exclude_none=True),
            "kubeconfig": None,
            "state": None,
        }
        super().__init__(facts.CLUSTER, name, properties, opts)


def create(settings: KindSettings, login: RegistryLogin, owner: Path) -> ClusterHandle:
    """Declare the cluster, its images and the Kubernetes provider for it.

    Its ports on this machine are fixed when it is made, so URLs are known in every preview.

    Args:
        settings: the stack's settings.
        login: the account with which the node pulls the images.
        owner: path of the stack's settings file.
    """
    wanted = settings.cluster
    ports = settings.published
    cluster = KindCluster(
        "cluster",
        facts.ClusterInputs(
            name=wanted.name,
            owner=str(owner),
            nodeImage=wanted.node_image,
            engine=wanted.engine,
            ports=tuple(
                facts.PortInput(port=port, nodePort=_NODE_PORTS[name]) for name, port in ports.items()
            ),
        ),
    )
    delete_with(cluster)
    return ClusterHandle(
        provider=kubernetes_provider(
            "kubernetes",
            kubeconfig=cluster.kubeconfig,
            # Another port of the API server must not replace the objects in the cluster.
            cluster_identifier=wanted.name,
        ),
        connection=Connection(kubeconfig=cluster.kubeconfig),
        images=built_images.declare(cluster, wanted.name, katib=settings.katib.enabled)
        if settings.images is None
        else Images.pulled(settings.images),
        endpoints=Endpoints(
            gateway=f"http://127.0.0.1:{ports['gateway']}",
            store=_url("https", ports.get("store")),
            console=_url("https", ports.get("console")),
            kfp=f"http://127.0.0.1:{ports['kfp']}",
        ),
        kubeconfig=folder.kubeconfig(wanted.name),
        login=login,
        builder=built_images.builder(),
        node_ports=NodePorts(
            gateway=_NODE_PORTS["gateway"],
            store=_NODE_PORTS["store"] if "store" in ports else None,
            console=_NODE_PORTS["console"] if "console" in ports else None,
            kfp=_NODE_PORTS["kfp"],
            pods=facts.POD_ADDRESSES,
        ),
    )


def _url(scheme: str, port: int | None) -> str | None:
    return None if port is None else f"{scheme}://127.0.0.1:{port}"
