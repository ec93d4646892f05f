"""What Slipway adds to KServe: its serving runtime, its storage container and the policy on model sources.

KServe itself is a part of upstream (infra/upstream/parts/kserve.py). Knative, Istio and cert-manager are not
needed: serving uses `standard` mode (Deployments), and the gateway reaches predictors by their Services.
"""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from infra import admission
from infra.cluster.handle import Image
from infra.components.kserve import objects
from infra.components.kserve.labels import labels
from infra.names import SERVING_RUNTIME
from infra.pod_defaults import metadata
from infra.settings.models import ServingSettings
from storage.layout import Buckets


@dataclass(frozen=True, kw_only=True)
class KServeArgs:
    """Settings, and the resources that KServe's own objects need."""

    settings: ServingSettings
    image: Image
    """The model server and the storage initializer."""

    buckets: Buckets
    installed: pulumi.Resource
    """Exists once KServe's webhooks answer."""


class KServe(pulumi.ComponentResource):
    """KServe, ready for InferenceServices."""

    runtime: pulumi.Output[str]

    def __init__(self, name: str, args: KServeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:components:KServe", name, None, opts)
        self._name = name
        self._args = args
        self._policy()
        self._storage_container()
        self.runtime = self._runtime().metadata["name"]
        self.register_outputs({"runtime": self.runtime})

    def _after(self, *after: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=[*after])

    def _policy(self) -> None:
        own = labels("policy")
        policy = k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
            f"{self._name}-model-source",
            metadata=metadata(admission.MODEL_SOURCE, own),
            spec=admission.model_source(self._args.buckets, self._args.settings.limits),
            # The API server checks the policy's types against the definitions.
            opts=self._after(self._args.installed),
        )
        k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
            f"{self._name}-model-source-binding",
            metadata=metadata(admission.MODEL_SOURCE, own),
            spec={"policy_name": admission.MODEL_SOURCE, "validation_actions": ["Deny"]},
            opts=self._after(policy),
        )

    def _storage_container(self) -> None:
        image = self._args.image
        k8s.apiextensions.CustomResource(
            f"{self._name}-storage-container",
            api_version="serving.kserve.io/v1alpha1",
            kind="ClusterStorageContainer",
            metadata=metadata("slipway-s3", labels("storage-initializer")),
            spec=objects.storage_container(image.reference),
            opts=self._after(*image.after(self._args.installed)),
        )

    def _runtime(self) -> k8s.apiextensions.CustomResource:
        image, settings = self._args.image, self._args.settings
        return k8s.apiextensions.CustomResource(
            f"{self._name}-runtime",
            api_version="serving.kserve.io/v1alpha1",
            kind="ClusterServingRuntime",
            metadata=metadata(SERVING_RUNTIME, labels("runtime")),
            spec=objects.serving_runtime(
                image.reference, cpu_limit=settings.model_cpu, memory_limit=settings.model_memory
            ),
            opts=self._after(*image.after(self._args.installed)),
        )
