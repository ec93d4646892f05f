"""Services that make the platform available at ports of the nodes, beside those that pods use."""

from typing import Final

import pulumi

from infra.cluster.handle import NodePorts
from infra.names import GATEWAY_PORT, KFP_PORT, STORE_CONSOLE_PORT, STORE_PORT
from infra.published_service import GATEWAY, KFP, STORE, Publication, Target, publish

_EVERYWHERE: Final = "0.0.0.0/0"


class PublishedServices(pulumi.ComponentResource):
    """A Service of type NodePort for each endpoint, and the network policy that lets its traffic in."""

    def __init__(self, name: str, ports: NodePorts, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:components:PublishedServices", name, None, opts)
        outside = {"cidr": _EVERYWHERE, "except_": [ports.pods] if ports.pods else None}
        how = Publication(kind="NodePort", suffix="node-ports", sources=[{"ip_block": outside}])
        targets: dict[Target, dict[int, int | None]] = {
            GATEWAY: {GATEWAY_PORT: ports.gateway},
            STORE: {STORE_PORT: ports.store, STORE_CONSOLE_PORT: ports.console},
            KFP: {KFP_PORT: ports.kfp},
        }
        for target, wanted in targets.items():
            published = {port: node for port, node in wanted.items() if node is not None}
            if published:
                publish(name, target, published, how, pulumi.ResourceOptions(parent=self))
        self.register_outputs({})
