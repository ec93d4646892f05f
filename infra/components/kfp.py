"""The Kubeflow Pipelines API: one server with its database on a volume.

What it may do in a tenant's namespace belongs to the tenant (infra/components/tenant.py); here it has an
identity and no right at all.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from infra.cluster.handle import Image
from infra.names import (
    KFP_NAMESPACE,
    KFP_PORT,
    KFP_SERVICE,
    KFP_SERVICE_ACCOUNT,
    PART_OF,
    STORE_CA,
    service_url,
)
from infra.settings import KfpSettings
from storage.handle import StoreHandle
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

_AUTHORITY_FOLDER: Final = "/etc/slipway-ca"


@dataclass(frozen=True, kw_only=True)
class KubeflowPipelinesArgs:
    """What the operator said, and what was made before."""

    settings: KfpSettings
    image: Image
    store: StoreHandle


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
        before = [namespace, account, claim]
        if args.store.ca_certificate is not None:
            before.append(
                k8s.core.v1.ConfigMap(
                    f"{name}-{STORE_CA}",
                    metadata=metadata(STORE_CA, labels, namespace=KFP_NAMESPACE),
                    data={"ca.crt": args.store.ca_certificate},
                    opts=within,
                )
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
                "template": {
                    "metadata": {"labels": labels, "annotations": _annotations(args.store)},
                    "spec": _pod(args.image.reference, args.store),
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=args.image.after(*before)),
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


def _annotations(store: StoreHandle) -> dict[str, pulumi.Input[str]] | None:
    """Return what starts the server anew when the store's authority is another: it is read once."""
    if store.ca_certificate is None:
        return None
    digest = pulumi.Output.from_input(store.ca_certificate).apply(
        lambda pem: hashlib.sha256(pem.encode()).hexdigest()[:16]
    )
    return {"slipway.dev/store-ca": digest}


def _store_environment(store: StoreHandle) -> list[k8s.core.v1.EnvVarArgs]:
    """Return where the store is and whom to trust, for the server and its steps; no key is among it.

    A tenant's launcher configuration has no field for an authority.
    """
    known = {"AWS_ENDPOINT_URL_S3": store.internal_endpoint, "AWS_DEFAULT_REGION": store.region}
    if store.ca_certificate is not None:
        known["AWS_CA_BUNDLE"] = f"{_AUTHORITY_FOLDER}/ca.crt"
    return [k8s.core.v1.EnvVarArgs(name=name, value=value) for name, value in known.items()]


def _pod(image: str, store: StoreHandle) -> k8s.core.v1.PodSpecArgs:
    health = "/apis/v2beta1/healthz"
    mounts, volumes = [], []
    if store.ca_certificate is not None:
        mounts.append(
            k8s.core.v1.VolumeMountArgs(name="authority", mount_path=_AUTHORITY_FOLDER, read_only=True)
        )
        volumes.append(k8s.core.v1.VolumeArgs(name="authority", config_map={"name": STORE_CA}))
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
                    *_store_environment(store),
                ],
                ports=[k8s.core.v1.ContainerPortArgs(name="http", container_port=KFP_PORT)],
                readiness_probe=http_probe(health, KFP_PORT, period=2, failures=5),
                liveness_probe=http_probe(health, KFP_PORT, failures=6),
                startup_probe=http_probe(health, KFP_PORT, period=2, failures=60),
                security_context=confined(),
                # Steps are its processes: training on 20 million rows of 10 numbers takes 3.3 GiB.
                resources=resources(cpu="100m", memory="192Mi", memory_limit="5Gi"),
                volume_mounts=[
                    k8s.core.v1.VolumeMountArgs(name="data", mount_path="/data"),
                    *mounts,
                    scratch_mount(),
                ],
            )
        ],
        volumes=[
            k8s.core.v1.VolumeArgs(
                name="data", persistent_volume_claim={"claim_name": f"{KFP_SERVICE}-data"}
            ),
            *volumes,
            scratch_volume(),
        ],
    )
