"""The Kubeflow Pipelines API: one server with its database on a volume.

What it may do in a tenant's namespace belongs to the tenant (infra/components/tenant.py); here it has an
identity and no right at all.
"""

from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from infra.cluster.handle import Image
from infra.config import KfpSettings
from infra.names import (
    KFP_NAMESPACE,
    KFP_PORT,
    KFP_SERVICE,
    KFP_SERVICE_ACCOUNT,
    PART_OF,
    service_url,
)
from storage.pods import (
    RESTRICTED,
    SCRATCH,
    confined,
    confined_pod,
    http_probe,
    metadata,
    resources,
    scratch_mount,
    scratch_volume,
)

_GROUP: Final = 65532
"""The user and group of our images; the volume is given to it."""


@dataclass(frozen=True, kw_only=True)
class KubeflowPipelinesArgs:
    """What the operator said, and what was made before."""

    settings: KfpSettings
    image: Image


class KubeflowPipelines(pulumi.ComponentResource):
    """The pipelines API, answering."""

    internal_endpoint: str

    def __init__(
        self, name: str, args: KubeflowPipelinesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:components:KubeflowPipelines", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        labels = {
            **PART_OF,
            "app.kubernetes.io/name": "kubeflow-pipelines",
            "app.kubernetes.io/component": "api-server",
        }
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace", metadata=metadata(KFP_NAMESPACE, {**PART_OF, **RESTRICTED}), opts=child
        )
        within = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        account = k8s.core.v1.ServiceAccount(
            f"{name}-account",
            metadata=metadata(KFP_SERVICE_ACCOUNT, labels, namespace=KFP_NAMESPACE),
            opts=within,
        )
        claim = k8s.core.v1.PersistentVolumeClaim(
            f"{name}-data",
            metadata=metadata(
                f"{KFP_SERVICE}-data",
                labels,
                namespace=KFP_NAMESPACE,
                # Where volumes are bound to the node of their first pod, the claim stays pending until
                # the Deployment exists; waiting for it here would wait for ever.
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec={
                "access_modes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": f"{args.settings.size_gib}Gi"}},
            },
            opts=within,
        )
        k8s.networking.v1.NetworkPolicy(
            f"{name}-ingress",
            metadata=metadata(KFP_SERVICE, labels, namespace=KFP_NAMESPACE),
            spec={
                "pod_selector": {"match_labels": labels},
                "policy_types": ["Ingress"],
                "ingress": [
                    {
                        "from_": [{"namespace_selector": {"match_labels": {**PART_OF}}}],
                        "ports": [{"port": KFP_PORT, "protocol": "TCP"}],
                    }
                ],
            },
            opts=within,
        )
        server = k8s.apps.v1.Deployment(
            f"{name}-server",
            metadata=metadata(KFP_SERVICE, labels, namespace=KFP_NAMESPACE),
            spec={
                "replicas": 1,
                # The database has one writer: the old server ends before the new one begins.
                "strategy": {"type": "Recreate"},
                "selector": {"match_labels": labels},
                "template": {"metadata": {"labels": labels}, "spec": _pod(args.image.reference)},
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=args.image.after(namespace, account, claim)),
        )
        # After the server, so that a server that fails is not waited for twice.
        k8s.core.v1.Service(
            f"{name}-service",
            metadata=metadata(KFP_SERVICE, labels, namespace=KFP_NAMESPACE),
            spec={
                "selector": labels,
                "ports": [{"name": "http", "port": KFP_PORT, "target_port": KFP_PORT, "protocol": "TCP"}],
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[server]),
        )
        self.internal_endpoint = service_url(KFP_SERVICE, KFP_NAMESPACE, KFP_PORT)
        self.register_outputs({"internal_endpoint": self.internal_endpoint})


def _pod(image: str) -> k8s.core.v1.PodSpecArgs:
    health = "/apis/v2beta1/healthz"
    return k8s.core.v1.PodSpecArgs(
        service_account_name=KFP_SERVICE_ACCOUNT,
        security_context=confined_pod(volume_group=_GROUP),
        # Steps of running pipelines are told to stop before the server is.
        termination_grace_period_seconds=30,
        containers=[
            k8s.core.v1.ContainerArgs(
                name="api-server",
                image=image,
                image_pull_policy="IfNotPresent",
                command=["python3", "-m", "embedded.kfp"],
                env=[
                    k8s.core.v1.EnvVarArgs(name="HOME", value=SCRATCH),
                    k8s.core.v1.EnvVarArgs(name="OMP_NUM_THREADS", value="1"),
                ],
                ports=[k8s.core.v1.ContainerPortArgs(name="http", container_port=KFP_PORT)],
                readiness_probe=http_probe(health, KFP_PORT, period=2, failures=5),
                liveness_probe=http_probe(health, KFP_PORT, failures=6),
                startup_probe=http_probe(health, KFP_PORT, period=2, failures=60),
                security_context=confined(),
                resources=resources(cpu="100m", memory="192Mi", memory_limit="1536Mi"),
                volume_mounts=[
                    k8s.core.v1.VolumeMountArgs(name="data", mount_path="/data"),
                    scratch_mount(),
                ],
            )
        ],
        volumes=[
            k8s.core.v1.VolumeArgs(
                name="data", persistent_volume_claim={"claim_name": f"{KFP_SERVICE}-data"}
            ),
            scratch_volume(),
        ],
    )
