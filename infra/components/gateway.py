"""The gateway to every InferenceService: `/serving/<namespace>/<name>/<rest>`."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from infra.cluster.handle import Connection, Image
from infra.cluster.registry_login import RegistryLogin
from infra.names import GATEWAY_LABELS, GATEWAY_NAMESPACE, GATEWAY_PORT, GATEWAY_SERVICE, PART_OF
from infra.pod_defaults import (
    NOT_AWAITED,
    RESTRICTED,
    container_security_context,
    http_probe,
    metadata,
    pod_security_context,
    resources,
    scratch_mount,
    scratch_volume,
)
from infra.upstream.install.ready import Ready


@dataclass(frozen=True, kw_only=True)
class GatewayArgs:
    """Inputs of the gateway."""

    image: Image
    login: RegistryLogin
    """With which nodes pull the image."""

    connection: Connection


class Gateway(pulumi.ComponentResource):
    """The gateway: one proxy Deployment and its Service."""

    pulled: list[pulumi.Resource]
    """What waits until nodes have pulled the image from the registry; empty where images are imported.

    Everything else that runs pods comes after it: an image that can't be pulled stops `up` here, with the
    reason. The Kubernetes provider would wait ten minutes for each workload.
    """

    def __init__(self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:components:Gateway", name, None, opts)
        labels = GATEWAY_LABELS
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=metadata(GATEWAY_NAMESPACE, {**PART_OF, **RESTRICTED}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        within = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        pulled = args.login.declare(name, GATEWAY_NAMESPACE, labels, within)
        k8s.networking.v1.NetworkPolicy(
            f"{name}-ingress",
            metadata=metadata(GATEWAY_SERVICE, labels, namespace=GATEWAY_NAMESPACE),
            spec={
                "pod_selector": {"match_labels": labels},
                "policy_types": ["Ingress"],
                "ingress": [{"ports": [{"port": GATEWAY_PORT, "protocol": "TCP"}]}],
            },
            opts=within,
        )
        server = k8s.apps.v1.Deployment(
            f"{name}-proxy",
            metadata=metadata(
                GATEWAY_SERVICE,
                labels,
                namespace=GATEWAY_NAMESPACE,
                annotations=NOT_AWAITED if args.image.ready is None else None,
            ),
            spec={
                "replicas": 1,
                "selector": {"match_labels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "automount_service_account_token": False,
                        "image_pull_secrets": args.login.references,
                        "security_context": pod_security_context(),
                        "containers": [
                            {
                                "name": "proxy",
                                "image": args.image.reference,
                                "image_pull_policy": "IfNotPresent",
                                "ports": [{"name": "http", "container_port": GATEWAY_PORT}],
                                "readiness_probe": http_probe("/healthz", GATEWAY_PORT, period=2),
                                "liveness_probe": http_probe("/healthz", GATEWAY_PORT),
                                "security_context": container_security_context(),
                                "resources": resources(cpu="20m", memory="16Mi", memory_limit="128Mi"),
                                "volume_mounts": [scratch_mount()],
                            }
                        ],
                        "volumes": [scratch_volume()],
                    },
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=args.image.after(namespace, *pulled)),
        )
        self.pulled = [] if args.image.ready is not None else [self._pulled(name, args, server)]
        # After the Deployment, so that a failing one is waited for only once.
        k8s.core.v1.Service(
            f"{name}-service",
            metadata=metadata(GATEWAY_SERVICE, labels, namespace=GATEWAY_NAMESPACE, annotations=NOT_AWAITED),
            spec={
                "selector": labels,
                "ports": [
                    {"name": "http", "port": GATEWAY_PORT, "target_port": GATEWAY_PORT, "protocol": "TCP"}
                ],
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[server]),
        )
        self.register_outputs({})

    def _pulled(self, name: str, args: GatewayArgs, server: pulumi.Resource) -> pulumi.Resource:
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": GATEWAY_SERVICE, "namespace": GATEWAY_NAMESPACE},
            "image": args.image.reference,
        }
        return Ready(
            f"{name}-pulled",
            documents=[deployment],
            samples=[],
            connection=args.connection,
            seconds=300,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[server]),
        )
