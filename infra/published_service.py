"""A Service that makes pods available outside the cluster, beside the one that other pods use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s

from infra.names import (
    GATEWAY_LABELS,
    GATEWAY_NAMESPACE,
    GATEWAY_SERVICE,
    KFP_LABELS,
    KFP_NAMESPACE,
    KFP_SERVICE,
    STORE_LABELS,
    STORE_NAMESPACE,
    STORE_SERVICE,
)
from infra.pod_defaults import NOT_AWAITED, metadata


@dataclass(frozen=True, eq=False)
class Target:
    """Pods of the platform, and the Service that other pods use."""

    namespace: str
    service: str
    labels: Mapping[str, str]


GATEWAY: Final = Target(GATEWAY_NAMESPACE, GATEWAY_SERVICE, GATEWAY_LABELS)
STORE: Final = Target(STORE_NAMESPACE, STORE_SERVICE, STORE_LABELS)
KFP: Final = Target(KFP_NAMESPACE, KFP_SERVICE, KFP_LABELS)


@dataclass(frozen=True, kw_only=True)
class Publication:
    """How pods are made available."""

    kind: str
    """Type of the Service."""

    suffix: str
    """Of the objects' names, after that of the Service which other pods use."""

    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of the Service."""

    sources: Sequence[Mapping[str, Any]] | None = None
    """From where the network policy lets traffic in; None for everywhere."""


def publish(
    name: str,
    target: Target,
    ports: Mapping[int, int | None],
    how: Publication,
    opts: pulumi.ResourceOptions,
) -> None:
    """Declare the Service, and the network policy that lets its traffic in.

    Args:
        name: prefix of the resources' names.
        target: the pods.
        ports: ports of the pods, with the port of the nodes where one is fixed.
        how: see there.
        opts: of both resources.
    """
    own = f"{target.service}-{how.suffix}"
    k8s.core.v1.Service(
        f"{name}-{target.service}-service",
        metadata=metadata(
            own, target.labels, namespace=target.namespace, annotations={**how.annotations, **NOT_AWAITED}
        ),
        spec={
            "type": how.kind,
            "selector": {**target.labels},
            "ports": [_port(port, node) for port, node in ports.items()],
        },
        opts=opts,
    )
    admitted = {} if how.sources is None else {"from_": [*how.sources]}
    k8s.networking.v1.NetworkPolicy(
        f"{name}-{target.service}-ingress",
        metadata=metadata(own, target.labels, namespace=target.namespace),
        spec={
            "pod_selector": {"match_labels": {**target.labels}},
            "policy_types": ["Ingress"],
            "ingress": [{**admitted, "ports": [{"port": port, "protocol": "TCP"} for port in ports]}],
        },
        opts=opts,
    )


def _port(port: int, node: int | None) -> dict[str, Any]:
    fixed = {} if node is None else {"node_port": node}
    return {"name": f"port-{port}", "port": port, "target_port": port, **fixed, "protocol": "TCP"}
