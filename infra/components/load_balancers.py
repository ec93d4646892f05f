"""Services of type LoadBalancer for the gateway and the store, beside those that pods use."""

import pulumi

from infra.cluster.handle import LoadBalancers
from infra.names import GATEWAY_PORT, STORE_CONSOLE_PORT, STORE_PORT
from infra.published_service import GATEWAY, STORE, Publication, publish


class LoadBalancedServices(pulumi.ComponentResource):
    """A load balancer for each, and the network policy that lets its traffic in.

    The pipelines API, which asks for no login, has none. Nothing waits for an address: the cloud may take
    minutes, and the names that lead to it are the operator's.
    """

    def __init__(self, name: str, args: LoadBalancers, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:components:LoadBalancedServices", name, None, opts)
        how = Publication(kind="LoadBalancer", suffix="load-balancer", annotations=args.annotations)
        within = pulumi.ResourceOptions(parent=self)
        publish(name, GATEWAY, {GATEWAY_PORT: None}, how, within)
        ports = ((STORE_PORT, args.store), (STORE_CONSOLE_PORT, args.console))
        if published := dict.fromkeys(port for port, wanted in ports if wanted):
            publish(name, STORE, published, how, within)
        self.register_outputs({})
