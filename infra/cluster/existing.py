"""An existing cluster: reached by a kubeconfig context, with images from a registry."""

from pathlib import Path

from infra.cluster import handle
from infra.cluster.handle import ClusterHandle, Connection, Images, LoadBalancers, NodePorts, Routes
from infra.cluster.provider import kubernetes_provider
from infra.cluster.registry_login import RegistryLogin
from infra.settings.endpoints import (
    Endpoints,
    GatewayApiEndpoints,
    LoadBalancerEndpoints,
    NodePortEndpoints,
)
from infra.settings.models import DevSettings


def create(settings: DevSettings, login: RegistryLogin) -> ClusterHandle:
    """Return the handle of the cluster that the settings name; declares nothing in it.

    Args:
        settings: the stack's settings.
        login: the account with which nodes pull the images.
    """
    cluster, images, urls = settings.cluster, settings.images, settings.endpoints.urls
    return ClusterHandle(
        provider=kubernetes_provider("cluster", kubeconfig=cluster.kubeconfig, context=cluster.context),
        connection=Connection(kubeconfig_path=cluster.kubeconfig, context=cluster.context),
        images=Images.pulled(images),
        endpoints=handle.Endpoints(
            gateway=urls.gateway,
            store=urls.store,
            console=urls.console,
            kfp=urls.kfp,
        ),
        kubeconfig=None if cluster.kubeconfig is None else Path(cluster.kubeconfig),
        context=cluster.context,
        login=login,
        cert_manager=cluster.cert_manager,
        node_ports=_node_ports(settings.endpoints),
        load_balancers=_load_balancers(settings.endpoints),
        routes=_routes(settings.endpoints),
    )


def _node_ports(endpoints: Endpoints) -> NodePorts | None:
    if not isinstance(endpoints, NodePortEndpoints):
        return None
    return NodePorts(
        gateway=endpoints.gateway, store=endpoints.store, console=endpoints.console, kfp=None, pods=None
    )


def _load_balancers(endpoints: Endpoints) -> LoadBalancers | None:
    if not isinstance(endpoints, LoadBalancerEndpoints):
        return None
    return LoadBalancers(
        store=endpoints.store is not None,
        console=endpoints.console is not None,
        annotations=endpoints.annotations,
    )


def _routes(endpoints: Endpoints) -> Routes | None:
    if not isinstance(endpoints, GatewayApiEndpoints):
        return None
    return Routes(gateway_class=endpoints.gateway_class, issuer=endpoints.issuer, hosts=endpoints.hosts)
