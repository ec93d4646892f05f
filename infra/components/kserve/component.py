"""KServe: its CRDs and controller, webhooks with certificates that renew, and our runtime.

Deliberately not here: Knative, Istio and cert-manager. Serving is in `standard` mode (Deployments), the
gateway reaches predictors by their Services, and a Job of ours issues the webhooks' certificate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s
import yaml

from infra import admission
from infra.cluster.handle import Images
from infra.components.kserve import objects
from infra.components.kserve.objects import WEBHOOK_PORT, WEBHOOK_SECRET, WEBHOOK_SERVICE, Webhook
from infra.components.kserve.webhook_certificates import WebhookCertificates, WebhookCertificatesArgs
from infra.names import KSERVE_NAMESPACE, PART_OF, SERVING_RUNTIME
from infra.pod_defaults import RESTRICTED, SCRATCH, confined, confined_pod, http_probe, metadata, resources
from infra.settings.models import ServingSettings
from slipway.core.errors import UsageError
from storage.layout import Buckets

_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Of libyaml where it is there: 0.7 s instead of 3.0 s in every run (2026-11-22)."""
_CONTROLLER: Final = "kserve-controller-manager"
_NOT_AWAITED: Final = {"pulumi.com/skipAwait": "true"}
"""Webhook configurations come before the controller that answers them: waiting would be for ever."""


@dataclass(frozen=True, kw_only=True)
class KServeArgs:
    """What the operator said, and what was made before."""

    settings: ServingSettings
    images: Images
    manifests: Path
    buckets: Buckets


def _labels(component: str) -> dict[str, str]:
    return {
        **PART_OF,
        "app.kubernetes.io/name": "kserve",
        "app.kubernetes.io/component": component,
    }


def _documents(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise UsageError(
            f"{path}: no such file.",
            why="It is part of the manifests generated from KServe's pinned sources.",
        )
    return [document for document in yaml.load_all(path.read_text(), Loader=_Loader) if document]


def load_crds(manifests: Path) -> dict[str, dict[str, Any]]:
    """Return KServe's CustomResourceDefinitions by plural name, in order.

    Raises:
        UsageError: If the folder lacks one that the controller reads.
    """
    found = {
        document["spec"]["names"]["plural"]: document
        for path in sorted((manifests / "crds").glob("*.yaml"))
        for document in _documents(path)
    }
    missing = [plural for plural in objects.CRDS if plural not in found]
    if missing:
        raise UsageError(f"{manifests / 'crds'}: no definition of {', '.join(missing)}.")
    return {plural: found[plural] for plural in objects.CRDS}


def load_rules(manifests: Path) -> list[dict[str, Any]]:
    """Return the rules of the controller's generated ClusterRole."""
    return [
        rule
        for document in _documents(manifests / "role.yaml")
        if document["kind"] == "ClusterRole"
        for rule in document["rules"]
    ]


class KServe(pulumi.ComponentResource):
    """KServe ready to take InferenceServices."""

    runtime: pulumi.Output[str]

    def __init__(self, name: str, args: KServeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:components:KServe", name, None, opts)
        self._name = name
        self._args = args
        self._namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata=metadata(KSERVE_NAMESPACE, {**PART_OF, **RESTRICTED}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        crds = self._crds()
        account, access = self._access()
        config = self._config()
        configurations = self._webhooks()
        certificates = WebhookCertificates(
            f"{name}-certificates",
            WebhookCertificatesArgs(
                namespace=KSERVE_NAMESPACE,
                service=WEBHOOK_SERVICE,
                secret=WEBHOOK_SECRET,
                mutating=(objects.DEFAULTER.configuration,),
                validating=tuple(hook.configuration for hook in objects.VALIDATING),
                image=args.images.pipelines,
            ),
            self._after(*configurations),
        )
        controller = self._controller(account, [*crds, *access, config, certificates])
        service = self._service(controller)
        self._policy(crds)
        runtime = self._runtime([service])
        self.runtime = runtime.metadata["name"]
        self.register_outputs({"runtime": self.runtime})

    def _after(self, *others: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=[self._namespace, *others])

    def _crds(self) -> list[pulumi.Resource]:
        return [
            k8s.apiextensions.v1.CustomResourceDefinition(
                f"{self._name}-crd-{plural}",
                metadata=k8s.meta.v1.ObjectMetaArgs(
                    name=document["metadata"]["name"],
                    labels=_labels("crd"),
                    annotations=document["metadata"].get("annotations"),
                ),
                spec=document["spec"],
                opts=pulumi.ResourceOptions(parent=self),
            )
            for plural, document in load_crds(self._args.manifests).items()
        ]

    def _access(self) -> tuple[k8s.core.v1.ServiceAccount, list[pulumi.Resource]]:
        labels = _labels("controller")
        account = k8s.core.v1.ServiceAccount(
            f"{self._name}-controller-account",
            metadata=metadata(_CONTROLLER, labels, namespace=KSERVE_NAMESPACE),
            opts=self._after(),
        )
        subjects = [{"kind": "ServiceAccount", "name": _CONTROLLER, "namespace": KSERVE_NAMESPACE}]
        role = k8s.rbac.v1.ClusterRole(
            f"{self._name}-controller-role",
            metadata=metadata("slipway-kserve-controller", labels),
            rules=load_rules(self._args.manifests),
            opts=pulumi.ResourceOptions(parent=self),
        )
        binding = k8s.rbac.v1.ClusterRoleBinding(
            f"{self._name}-controller-binding",
            metadata=metadata("slipway-kserve-controller", labels),
            role_ref={
                "api_group": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "slipway-kserve-controller",
            },
            subjects=subjects,
            opts=self._after(role, account),
        )
        election = k8s.rbac.v1.Role(
            f"{self._name}-election-role",
            metadata=metadata("leader-election", labels, namespace=KSERVE_NAMESPACE),
            rules=[
                {
                    "api_groups": ["coordination.k8s.io"],
                    "resources": ["leases"],
                    "verbs": ["create", "get", "list", "update"],
                }
            ],
            opts=self._after(),
        )
        election_binding = k8s.rbac.v1.RoleBinding(
            f"{self._name}-election-binding",
            metadata=metadata("leader-election", labels, namespace=KSERVE_NAMESPACE),
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": "leader-election"},
            subjects=subjects,
            opts=self._after(election, account),
        )
        return account, [binding, election_binding]

    def _config(self) -> k8s.core.v1.ConfigMap:
        return k8s.core.v1.ConfigMap(
            f"{self._name}-config",
            metadata=metadata(objects.CONFIG_NAME, _labels("controller"), namespace=KSERVE_NAMESPACE),
            data=objects.controller_config(self._args.images.model_server.reference),
            opts=self._after(),
        )

    def _webhooks(self) -> list[pulumi.Resource]:
        """Make the webhook configurations, without a CA: the certificates Job sets and renews it."""
        labels = _labels("webhook")
        outside = {
            "key": "kubernetes.io/metadata.name",
            "operator": "NotIn",
            "values": ["kube-system", KSERVE_NAMESPACE],
        }
        mutating = k8s.admissionregistration.v1.MutatingWebhookConfiguration(
            f"{self._name}-mutating",
            metadata=metadata(objects.DEFAULTER.configuration, labels, annotations=_NOT_AWAITED),
            webhooks=[
                k8s.admissionregistration.v1.MutatingWebhookArgs(**_hook(objects.DEFAULTER)),
                k8s.admissionregistration.v1.MutatingWebhookArgs(
                    **_hook(objects.POD_MUTATOR),
                    reinvocation_policy="IfNeeded",
                    namespace_selector={"match_expressions": [outside]},
                    object_selector={
                        "match_expressions": [
                            {"key": "serving.kserve.io/inferenceservice", "operator": "Exists"}
                        ]
                    },
                ),
            ],
            opts=self._after(),
        )
        validating: list[pulumi.Resource] = [
            k8s.admissionregistration.v1.ValidatingWebhookConfiguration(
                f"{self._name}-validating-{hook.resource}",
                metadata=metadata(hook.configuration, labels, annotations=_NOT_AWAITED),
                webhooks=[k8s.admissionregistration.v1.ValidatingWebhookArgs(**_hook(hook))],
                opts=self._after(),
            )
            for hook in objects.VALIDATING
        ]
        return [mutating, *validating]

    def _controller(
        self, account: k8s.core.v1.ServiceAccount, after: Sequence[pulumi.Resource]
    ) -> k8s.apps.v1.Deployment:
        labels = _labels("controller")
        image = self._args.images.kserve_controller
        return k8s.apps.v1.Deployment(
            f"{self._name}-controller",
            metadata=metadata(_CONTROLLER, labels, namespace=KSERVE_NAMESPACE),
            spec={
                "replicas": 1,
                "selector": {"match_labels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "service_account_name": _CONTROLLER,
                        "security_context": confined_pod(),
                        "containers": [
                            {
                                "name": "manager",
                                "image": image.reference,
                                "image_pull_policy": "IfNotPresent",
                                "args": ["--leader-elect"],
                                "env": [
                                    {
                                        "name": "POD_NAMESPACE",
                                        "value_from": {"field_ref": {"field_path": "metadata.namespace"}},
                                    }
                                ],
                                "ports": [{"name": "webhook-server", "container_port": WEBHOOK_PORT}],
                                "readiness_probe": http_probe("/readyz", 8081, period=2, failures=5),
                                "liveness_probe": http_probe("/healthz", 8081, failures=6),
                                "security_context": confined(),
                                "resources": resources(cpu="50m", memory="96Mi", memory_limit="384Mi"),
                                "volume_mounts": [
                                    {
                                        "name": "cert",
                                        "mount_path": f"{SCRATCH}/k8s-webhook-server/serving-certs",
                                        "read_only": True,
                                    }
                                ],
                            }
                        ],
                        "volumes": [{"name": "cert", "secret": {"secret_name": WEBHOOK_SECRET}}],
                    },
                },
            },
            opts=self._after(*image.after(account, *after)),
        )

    def _service(self, controller: pulumi.Resource) -> k8s.core.v1.Service:
        """Make the webhooks' Service: ready once the API server can reach the controller through it."""
        labels = _labels("controller")
        return k8s.core.v1.Service(
            f"{self._name}-webhook-service",
            metadata=metadata(WEBHOOK_SERVICE, labels, namespace=KSERVE_NAMESPACE),
            spec={
                "selector": labels,
                "ports": [{"name": "https", "port": 443, "target_port": WEBHOOK_PORT, "protocol": "TCP"}],
            },
            opts=self._after(controller),
        )

    def _policy(self, crds: Sequence[pulumi.Resource]) -> None:
        labels = _labels("policy")
        policy = k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
            f"{self._name}-model-source",
            metadata=metadata(admission.MODEL_SOURCE, labels),
            spec=admission.model_source(
                self._args.buckets, self._args.settings.limits, self._args.settings.mode
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*crds]),
        )
        k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
            f"{self._name}-model-source-binding",
            metadata=metadata(admission.MODEL_SOURCE, labels),
            spec={"policy_name": admission.MODEL_SOURCE, "validation_actions": ["Deny"]},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )

    def _runtime(self, after: Sequence[pulumi.Resource]) -> k8s.apiextensions.CustomResource:
        image = self._args.images.model_server
        settings = self._args.settings
        k8s.apiextensions.CustomResource(
            f"{self._name}-storage-container",
            api_version="serving.kserve.io/v1alpha1",
            kind="ClusterStorageContainer",
            metadata=metadata("slipway-s3", _labels("storage-initializer")),
            spec=objects.storage_container(image.reference),
            opts=self._after(*image.after(*after)),
        )
        return k8s.apiextensions.CustomResource(
            f"{self._name}-runtime",
            api_version="serving.kserve.io/v1alpha1",
            kind="ClusterServingRuntime",
            metadata=metadata(SERVING_RUNTIME, _labels("runtime")),
            spec=objects.serving_runtime(
                image.reference, cpu_limit=settings.model_cpu, memory_limit=settings.model_memory
            ),
            opts=self._after(*image.after(*after)),
        )


def _hook(hook: Webhook) -> dict[str, Any]:
    return {
        "name": hook.name,
        "admission_review_versions": ["v1"],
        "side_effects": "None",
        "failure_policy": "Fail",
        "timeout_seconds": 10,
        "client_config": {
            "service": {
                "name": WEBHOOK_SERVICE,
                "namespace": KSERVE_NAMESPACE,
                "path": hook.path,
                "port": 443,
            }
        },
        "rules": [
            {
                "api_groups": [hook.group],
                "api_versions": [hook.version],
                "operations": [*hook.operations],
                "resources": [hook.resource],
            }
        ],
    }
