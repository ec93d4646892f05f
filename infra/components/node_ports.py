"""Services that make the platform available at ports of the nodes, beside those that pods use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from infra.cluster.handle import NodePorts
from infra.names import (
    GATEWAY_LABELS,
    GATEWAY_NAMESPACE,
    GATEWAY_PORT,
    GATEWAY_SERVICE,
    KFP_LABELS,
    KFP_NAMESPACE,
    KFP_PORT,
    KFP_SERVICE,
    STORE_CONSOLE_PORT,
    STORE_LABELS,
    STORE_NAMESPACE,
    STORE_PORT,
    STORE_SERVICE,
)
from infra.pod_defaults import NOT_AWAITED, metadata

_EVERYWHERE: Final = "0.0.0.0/0"


@dataclass(frozen=True)
class _Target:
    """Pods in a namespace, and the node port of each of their ports."""

    namespace: str
    service: str
    labels: Mapping[str, str]
    ports: Mapping[int, int | None]


class PublishedServices(pulumi.ComponentResource):
    """A Service of type NodePort for each endpoint, and the network policy that lets its traffic in."""

    def __init__(self, name: str, ports: NodePorts, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:components:PublishedServices", name, None, opts)
        targets = (
            _Target(GATEWAY_NAMESPACE, GATEWAY_SERVICE, GATEWAY_LABELS, {GATEWAY_PORT: ports.gateway}),
            _Target(
                STORE_NAMESPACE,
                STORE_SERVICE,
                STORE_LABELS,
                {STORE_PORT: ports.store, STORE_CONSOLE_PORT: ports.console},
            ),
            _Target(KFP_NAMESPACE, KFP_SERVICE, KFP_LABELS, {KFP_PORT: ports.kfp}),
        )
        within = pulumi.ResourceOptions(parent=self)
        for target in targets:
            published = {port: node for port, node in target.ports.items() if node is not None}
            if published:
                _publish(f"{name}-{target.service}", target, published, ports.pods, within)
        self.register_outputs({})


def _publish(
    name: str, target: _Target, published: Mapping[int, int], pods: str | None, opts: pulumi.ResourceOptions
) -> None:
    own = f"{target.service}-node-ports"
    k8s.core.v1.Service(
        f"{name}-service",
        metadata=metadata(own, target.labels, namespace=target.namespace, annotations=NOT_AWAITED),
        spec={
            "type": "NodePort",
            "selector": {**target.labels},
            "ports": [
                {
                    "name": f"port-{port}",
                    "port": port,
                    "target_port": port,
                    "node_port": node,
                    "protocol": "TCP",
                }
                for port, node in published.items()
            ],
        },
        opts=opts,
    )
    k8s.networking.v1.NetworkPolicy(
        f"{name}-ingress",
        metadata=metadata(own, target.labels, namespace=target.namespace),
        spec={
            "pod_selector": {"match_labels": {**target.labels}},
            "policy_types": ["Ingress"],
            "ingress": [
                {
                    "from_": [{"ip_block": {"cidr": _EVERYWHERE, "except_": [pods] if pods else None}}],
                    "ports": [{"port": port, "protocol": "TCP"} for port in published],
                }
            ],
        },
        opts=opts,
    )
