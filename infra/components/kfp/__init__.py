"""The Kubeflow Pipelines API: one server with its database on a volume, and the steps that it runs.

What it may do in a tenant's namespace belongs to the tenant (infra/components/tenant.py); here it has an
identity and no right at all.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from infra.cluster.handle import Image
from infra.components.kfp.pod import pod
from infra.names import (
    KFP_NAMESPACE,
    KFP_PORT,
    KFP_SERVICE,
    KFP_SERVICE_ACCOUNT,
    PART_OF,
    STORE_CA,
    service_url,
)
from infra.pod_defaults import RESTRICTED, metadata
from infra.settings.models import KfpSettings
from infra.stores.handle import StoreHandle

_LABELS: Final = {
    **PART_OF,
    "app.kubernetes.io/name": "kubeflow-pipelines",
    "app.kubernetes.io/component": "api-server",
}


@dataclass(frozen=True, kw_only=True)
class KubeflowPipelinesArgs:
    """What the operator asked for, and what was made before."""

    settings: KfpSettings
    image: Image
    store: StoreHandle
    endpoint: str
    """URL at which the API answers from outside the cluster."""


class KubeflowPipelines(pulumi.ComponentResource):
    """The pipelines API, answering."""

    internal_endpoint: str

    def __init__(
        self, name: str, args: KubeflowPipelinesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:components:KubeflowPipelines", name, None, opts)
        self._name = name
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=metadata(KFP_NAMESPACE, {**PART_OF, **RESTRICTED}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        within = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        account = k8s.core.v1.ServiceAccount(
            f"{name}-account",
            metadata=metadata(KFP_SERVICE_ACCOUNT, _LABELS, namespace=KFP_NAMESPACE),
            opts=within,
        )
        before = [namespace, account, self._claim(args.settings, within)]
        if args.store.ca_certificate is not None:
            before.append(self._authority(args.store.ca_certificate, within))
        self._ingress(within)
        server = self._server(args, before)
        # After the server, so that a server that fails is not waited for twice.
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
                _LABELS,
                namespace=KFP_NAMESPACE,
                # Where volumes are bound to the node of their first pod, the claim stays pending until
                # the Deployment exists; waiting for it here would wait for ever.
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec={
                "access_modes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": f"{settings.size_gib}Gi"}},
            },
            opts=opts,
        )

    def _authority(
        self, certificate: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> k8s.core.v1.ConfigMap:
        return k8s.core.v1.ConfigMap(
            f"{self._name}-{STORE_CA}",
            metadata=metadata(STORE_CA, _LABELS, namespace=KFP_NAMESPACE),
            data={"ca.crt": certificate},
            opts=opts,
        )

    def _ingress(self, opts: pulumi.ResourceOptions) -> None:
        k8s.networking.v1.NetworkPolicy(
            f"{self._name}-ingress",
            metadata=metadata(KFP_SERVICE, _LABELS, namespace=KFP_NAMESPACE),
            spec={
                "pod_selector": {"match_labels": _LABELS},
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

    def _server(self, args: KubeflowPipelinesArgs, before: list[pulumi.Resource]) -> k8s.apps.v1.Deployment:
        return k8s.apps.v1.Deployment(
            f"{self._name}-server",
            metadata=metadata(KFP_SERVICE, _LABELS, namespace=KFP_NAMESPACE),
            spec={
                "replicas": 1,
                # The database has one writer: the old server ends before the new one begins.
                "strategy": {"type": "Recreate"},
                "selector": {"match_labels": _LABELS},
                "template": {
                    "metadata": {"labels": _LABELS, "annotations": _annotations(args.store)},
                    "spec": pod(args.image.reference, args.store, args.endpoint),
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=args.image.after(*before)),
        )

    def _service(self, opts: pulumi.ResourceOptions) -> None:
        k8s.core.v1.Service(
            f"{self._name}-service",
            metadata=metadata(KFP_SERVICE, _LABELS, namespace=KFP_NAMESPACE),
            spec={
                "selector": _LABELS,
                "ports": [{"name": "http", "port": KFP_PORT, "target_port": KFP_PORT, "protocol": "TCP"}],
            },
            opts=opts,
        )


def _annotations(store: StoreHandle) -> dict[str, pulumi.Input[str]] | None:
    """Return what restarts the server when the store's CA certificate changes: it is read once."""
    if store.ca_certificate is None:
        return None
    digest = pulumi.Output.from_input(store.ca_certificate).apply(
        lambda pem: hashlib.sha256(pem.encode()).hexdigest()[:16]
    )
    return {"slipway.dev/store-ca": digest}
