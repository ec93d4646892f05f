"""KServe: its CRDs and controller, webhooks with renewed certificates, and our serving runtime.

Knative, Istio and cert-manager are not needed: serving uses `standard` mode (Deployments), the gateway
reaches predictors by their Services, and a Job of ours issues the webhooks' certificate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from infra import admission
from infra.cluster.handle import Connection, Images
from infra.components.kserve import objects, webhooks
from infra.components.kserve.labels import labels
from infra.components.kserve.manifests import load_crds, load_rules
from infra.components.kserve.objects import WEBHOOK_PORT, WEBHOOK_SECRET, WEBHOOK_SERVICE
from infra.components.kserve.webhook_certificates import WebhookCertificates, WebhookCertificatesArgs
from infra.names import KSERVE_NAMESPACE, PART_OF, RBAC_GROUP, SERVING_RUNTIME
from infra.pod_defaults import (
    NOT_AWAITED,
    RESTRICTED,
    SCRATCH,
    container_security_context,
    http_probe,
    metadata,
    pod_security_context,
    resources,
)
from infra.settings.models import ServingSettings
from infra.upstream.install.definitions import CustomResourceDefinitions
from infra.upstream.install.ready import Ready
from storage.layout import Buckets

_CONTROLLER: Final = "kserve-controller-manager"


@dataclass(frozen=True, kw_only=True)
class KServeArgs:
    """Settings, images and manifests of KServe."""

    settings: ServingSettings
    images: Images
    manifests: Path
    connection: Connection
    buckets: Buckets


class KServe(pulumi.ComponentResource):
    """KServe, ready for InferenceServices."""

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
        definitions = self._definitions()
        account, access = self._access()
        config = self._config()
        configurations = webhooks.configurations(name, self._after())
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
        controller = self._controller(account, [definitions, *access, config, certificates])
        webhooks_answer = self._webhooks_answer([self._service(controller), controller])
        self._policy(definitions)
        runtime = self._runtime([webhooks_answer])
        self.runtime = runtime.metadata["name"]
        self.register_outputs({"runtime": self.runtime})

    def _after(self, *others: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=[self._namespace, *others])

    def _definitions(self) -> CustomResourceDefinitions:
        documents = load_crds(self._args.manifests).values()
        for each in documents:
            each["metadata"]["labels"] = labels("crd")
        return CustomResourceDefinitions(
            f"{self._name}-definitions",
            part="kserve",
            documents=documents,
            connection=self._args.connection,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _access(self) -> tuple[k8s.core.v1.ServiceAccount, list[pulumi.Resource]]:
        own = labels("controller")
        account = k8s.core.v1.ServiceAccount(
            f"{self._name}-controller-account",
            metadata=metadata(_CONTROLLER, own, namespace=KSERVE_NAMESPACE),
            opts=self._after(),
        )
        subjects = [{"kind": "ServiceAccount", "name": _CONTROLLER, "namespace": KSERVE_NAMESPACE}]
        role = k8s.rbac.v1.ClusterRole(
            f"{self._name}-controller-role",
            metadata=metadata("slipway-kserve-controller", own),
            rules=load_rules(self._args.manifests),
            opts=pulumi.ResourceOptions(parent=self),
        )
        binding = k8s.rbac.v1.ClusterRoleBinding(
            f"{self._name}-controller-binding",
            metadata=metadata("slipway-kserve-controller", own),
            role_ref={
                "api_group": RBAC_GROUP,
                "kind": "ClusterRole",
                "name": "slipway-kserve-controller",
            },
            subjects=subjects,
            opts=self._after(role, account),
        )
        election = k8s.rbac.v1.Role(
            f"{self._name}-election-role",
            metadata=metadata("leader-election", own, namespace=KSERVE_NAMESPACE),
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
            metadata=metadata("leader-election", own, namespace=KSERVE_NAMESPACE),
            role_ref={"api_group": RBAC_GROUP, "kind": "Role", "name": "leader-election"},
            subjects=subjects,
            opts=self._after(election, account),
        )
        return account, [binding, election_binding]

    def _config(self) -> k8s.core.v1.ConfigMap:
        return k8s.core.v1.ConfigMap(
            f"{self._name}-config",
            metadata=metadata(objects.CONFIG_NAME, labels("controller"), namespace=KSERVE_NAMESPACE),
            data=objects.controller_config(self._args.images.model_server.reference),
            opts=self._after(),
        )

    def _controller(
        self, account: k8s.core.v1.ServiceAccount, after: Sequence[pulumi.Resource]
    ) -> k8s.apps.v1.Deployment:
        own = labels("controller")
        image = self._args.images.kserve_controller
        return k8s.apps.v1.Deployment(
            f"{self._name}-controller",
            metadata=metadata(_CONTROLLER, own, namespace=KSERVE_NAMESPACE),
            spec={
                "replicas": 1,
                "selector": {"match_labels": own},
                "template": {
                    "metadata": {"labels": own},
                    "spec": {
                        "service_account_name": _CONTROLLER,
                        "security_context": pod_security_context(),
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
                                "security_context": container_security_context(),
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
        """Declare the webhooks' Service, which is not waited for: that takes ten seconds, and proves less."""
        own = labels("controller")
        return k8s.core.v1.Service(
            f"{self._name}-webhook-service",
            metadata=metadata(
                WEBHOOK_SERVICE,
                own,
                namespace=KSERVE_NAMESPACE,
                annotations=NOT_AWAITED,
            ),
            spec={
                "selector": own,
                "ports": [{"name": "https", "port": 443, "target_port": WEBHOOK_PORT, "protocol": "TCP"}],
            },
            opts=self._after(controller),
        )

    def _webhooks_answer(self, after: Sequence[pulumi.Resource]) -> Ready:
        """Declare the wait until the API server reaches the controller's webhooks."""
        spec = objects.serving_runtime("slipway.invalid/trial", cpu_limit="1", memory_limit="1Gi")
        trial = {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "ClusterServingRuntime",
            "metadata": {"name": "slipway-trial"},
            "spec": spec,
        }
        return Ready(
            f"{self._name}-webhooks",
            documents=[],
            samples=[trial],
            connection=self._args.connection,
            seconds=120,
            opts=self._after(*after),
        )

    def _policy(self, definitions: pulumi.Resource) -> None:
        own = labels("policy")
        policy = k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
            f"{self._name}-model-source",
            metadata=metadata(admission.MODEL_SOURCE, own),
            spec=admission.model_source(self._args.buckets, self._args.settings.limits),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[definitions]),
        )
        k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
            f"{self._name}-model-source-binding",
            metadata=metadata(admission.MODEL_SOURCE, own),
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
            metadata=metadata("slipway-s3", labels("storage-initializer")),
            spec=objects.storage_container(image.reference),
            opts=self._after(*image.after(*after)),
        )
        return k8s.apiextensions.CustomResource(
            f"{self._name}-runtime",
            api_version="serving.kserve.io/v1alpha1",
            kind="ClusterServingRuntime",
            metadata=metadata(SERVING_RUNTIME, labels("runtime")),
            spec=objects.serving_runtime(
                image.reference, cpu_limit=settings.model_cpu, memory_limit=settings.model_memory
            ),
            opts=self._after(*image.after(*after)),
        )
