"""The Kubeflow Pipelines API: one server with its database on a volume, and the steps that it runs.

Its permissions in a tenant's namespace are declared with the tenant (infra/components/tenant); its
ServiceAccount has no permissions of its own.
"""

import hashlib
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from infra.cluster.handle import Image
from infra.cluster.registry_login import RegistryLogin
from infra.components.kfp.pod import pod
from infra.names import (
    CA_KEY,
    KFP_LABELS,
    KFP_NAMESPACE,
    KFP_PORT,
    KFP_SERVICE,
    KFP_SERVICE_ACCOUNT,
    PART_OF,
    STORE_CA,
    service_url,
)
from infra.pod_defaults import NOT_AWAITED, metadata
from infra.settings.models import KfpSettings
from infra.stores.handle import StoreHandle


@dataclass(frozen=True, kw_only=True)
class KubeflowPipelinesArgs:
    """Settings and the resources that the pipelines API uses."""

    settings: KfpSettings
    image: Image
    login: RegistryLogin
    """With which nodes pull the image."""

    store: StoreHandle
    endpoint: str
    """URL of the API from outside the cluster."""

    namespace: pulumi.Resource
    """Which it shares with Kubeflow's controllers."""


class KubeflowPipelines(pulumi.ComponentResource):
    """The pipelines API: its Deployment, volume and Service."""

    internal_endpoint: str
    pulled: list[pulumi.Resource]
    """The Secret with which nodes pull images in its namespace; empty where none is needed."""

    def __init__(
        self, name: str, args: KubeflowPipelinesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:components:KubeflowPipelines", name, None, opts)
        self._name = name
        within = pulumi.ResourceOptions(parent=self, depends_on=[args.namespace])
        account = k8s.core.v1.ServiceAccount(
            f"{name}-account",
            metadata=metadata(KFP_SERVICE_ACCOUNT, KFP_LABELS, namespace=KFP_NAMESPACE),
            image_pull_secrets=args.login.references,
            opts=within,
        )
        self.pulled = args.login.declare(name, KFP_NAMESPACE, KFP_LABELS, within)
        dependencies = [args.namespace, account, self._claim(args.settings, within), *self.pulled]
        if args.store.ca_certificate is not None:
            dependencies.append(self._ca_config_map(args.store.ca_certificate, within))
        self._ingress(within)
        server = self._server(args, dependencies)
        # After the Deployment, so that a failing one is waited for only once.
        self._service(pulumi.ResourceOptions(parent=self, depends_on=[server]))
        self.internal_endpoint = service_url(KFP_SERVICE, KFP_NAMESPACE, KFP_PORT)
        self.register_outputs({"internal_endpoint": self.internal_endpoint})

    def _claim(
        self, settings: KfpSettings, opts: pulumi.ResourceOptions
    ) -> k8s.core.v1.PersistentVolumeClaim:
        return k8s.core.v1.PersistentVolumeClaim(
            f"{self._name}-data",
            metadata=metadata(
                f"{KFP_SERVICE}-data",
                KFP_LABELS,
                namespace=KFP_NAMESPACE,
                # With WaitForFirstConsumer the claim stays pending until the Deployment's pod is
                # scheduled; waiting for the claim here would never end.
                annotations=NOT_AWAITED,
            ),
            spec={
                "access_modes": ["ReadWriteOnce"],
                "storage_class_name": settings.storage_class,
                "resources": {"requests": {"storage": f"{settings.size_gib}Gi"}},
            },
            # A StorageClass can't be changed: a newly set one would replace the volume and its data.
            opts=pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(ignore_changes=["spec.storageClassName"])
            ),
        )

    def _ca_config_map(
        self, certificate: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> k8s.core.v1.ConfigMap:
        return k8s.core.v1.ConfigMap(
            f"{self._name}-{STORE_CA}",
            metadata=metadata(STORE_CA, KFP_LABELS, namespace=KFP_NAMESPACE),
            data={CA_KEY: certificate},
            opts=opts,
        )

    def _ingress(self, opts: pulumi.ResourceOptions) -> None:
        k8s.networking.v1.NetworkPolicy(
            f"{self._name}-ingress",
            metadata=metadata(KFP_SERVICE, KFP_LABELS, namespace=KFP_NAMESPACE),
            spec={
                "pod_selector": {"match_labels": KFP_LABELS},
                "policy_types": ["Ingress"],
                "ingress": [
                    {
                        "from_": [{"namespace_selector": {"match_labels": {**PART_OF}}}],
                        "ports": [{"port": KFP_PORT, "protocol": "TCP"}],
                    }
                ],
            },
            opts=opts,
        )

    def _server(
        self, args: KubeflowPipelinesArgs, dependencies: list[pulumi.Resource]
    ) -> k8s.apps.v1.Deployment:
        return k8s.apps.v1.Deployment(
            f"{self._name}-server",
            metadata=metadata(KFP_SERVICE, KFP_LABELS, namespace=KFP_NAMESPACE),
            spec={
                "replicas": 1,
                # The database allows one writer: the old server stops before the new one starts.
                "strategy": {"type": "Recreate"},
                "selector": {"match_labels": KFP_LABELS},
                "template": {
                    "metadata": {"labels": KFP_LABELS, "annotations": _annotations(args.store)},
                    "spec": pod(args.image.reference, args.store, args.endpoint),
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=args.image.after(*dependencies)),
        )

    def _service(self, opts: pulumi.ResourceOptions) -> None:
        k8s.core.v1.Service(
            f"{self._name}-service",
            metadata=metadata(KFP_SERVICE, KFP_LABELS, namespace=KFP_NAMESPACE, annotations=NOT_AWAITED),
            spec={
                "selector": KFP_LABELS,
                "ports": [{"name": "http", "port": KFP_PORT, "target_port": KFP_PORT, "protocol": "TCP"}],
            },
            opts=opts,
        )


def _annotations(store: StoreHandle) -> dict[str, pulumi.Input[str]] | None:
    """Return annotations that restart the server when the store's CA certificate changes: it is read once."""
    if store.ca_certificate is None:
        return None
    digest = pulumi.Output.from_input(store.ca_certificate).apply(
        lambda pem: hashlib.sha256(pem.encode()).hexdigest()[:16]
    )
    return {"slipway.dev/store-ca": digest}
