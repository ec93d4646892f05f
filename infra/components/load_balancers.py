"""Services of type LoadBalancer for the gateway and the store, beside those that pods use."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_kubernetes as k8s

from infra.cluster.handle import LoadBalancers
from infra.names import (
    GATEWAY_LABELS,
    GATEWAY_NAMESPACE,
    GATEWAY_PORT,
    GATEWAY_SERVICE,
    STORE_CONSOLE_PORT,
    STORE_LABELS,
    STORE_NAMESPACE,
    STORE_PORT,
    STORE_SERVICE,
)
from infra.pod_defaults import NOT_AWAITED, metadata


class LoadBalancedServices(pulumi.ComponentResource):
    """A load balancer for each, and the network policy that lets its traffic in.

    The pipelines API, which asks for no login, has none. Nothing waits for an address: the cloud may take
    minutes, and the names that lead to it are the operator's.
    """

    def __init__(self, name: str, args: LoadBalancers, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:components:LoadBalancedServices", name, None, opts)
        within = pulumi.ResourceOptions(parent=self)
        self._annotations = {**args.annotations, **NOT_AWAITED}
        self._balance(name, (GATEWAY_NAMESPACE, GATEWAY_SERVICE), GATEWAY_LABELS, [GATEWAY_PORT], within)
        ports = [
            port for port, wanted in ((STORE_PORT, args.store), (STORE_CONSOLE_PORT, args.console)) if wanted
        ]
        if ports:
            self._balance(name, (STORE_NAMESPACE, STORE_SERVICE), STORE_LABELS, ports, within)
        self.register_outputs({})

    def _balance(
        self,
        name: str,
        place: tuple[str, str],
        labels: Mapping[str, str],
        ports: Sequence[int],
        opts: pulumi.ResourceOptions,
    ) -> None:
        namespace, service = place
        own = f"{service}-load-balancer"
        k8s.core.v1.Service(
            f"{name}-{service}-service",
            metadata=metadata(own, labels, namespace=namespace, annotations=self._annotations),
            spec={
                "type": "LoadBalancer",
                "selector": {**labels},
                "ports": [
                    {"name": f"port-{port}", "port": port, "target_port": port, "protocol": "TCP"}
                    for port in ports
                ],
            },
            opts=opts,
        )
        k8s.networking.v1.NetworkPolicy(
            f"{name}-{service}-ingress",
            metadata=metadata(own, labels, namespace=namespace),
            spec={
                "pod_selector": {"match_labels": {**labels}},
                "policy_types": ["Ingress"],
                "ingress": [{"ports": [{"port": port, "protocol": "TCP"} for port in ports]}],
            },
            opts=opts,
        )
