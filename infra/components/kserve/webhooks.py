"""KServe's webhook configurations."""

from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from infra.components.kserve import objects
from infra.components.kserve.labels import labels
from infra.components.kserve.objects import WEBHOOK_SERVICE, Webhook
from infra.names import KSERVE_NAMESPACE
from infra.pod_defaults import NOT_AWAITED, metadata


def configurations(name: str, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Declare the webhook configurations without a CA certificate, which the certificates Job sets.

    They are created before the controller that answers them, so waiting for them would never end.

    Args:
        name: The prefix of the resources' names.
        opts: Resource options with the parent and a dependency on the namespace.
    """
    own = labels("webhook")
    outside = {
        "key": "kubernetes.io/metadata.name",
        "operator": "NotIn",
        "values": ["kube-system", KSERVE_NAMESPACE],
    }
    mutating = k8s.admissionregistration.v1.MutatingWebhookConfiguration(
        f"{name}-mutating",
        metadata=metadata(objects.DEFAULTER.configuration, own, annotations=NOT_AWAITED),
        webhooks=[
            k8s.admissionregistration.v1.MutatingWebhookArgs(**_hook(objects.DEFAULTER)),
            k8s.admissionregistration.v1.MutatingWebhookArgs(
                **_hook(objects.POD_MUTATOR),
                reinvocation_policy="IfNeeded",
                namespace_selector={"match_expressions": [outside]},
                object_selector={
                    "match_expressions": [{"key": "serving.kserve.io/inferenceservice", "operator": "Exists"}]
                },
            ),
        ],
        opts=opts,
    )
    validating: list[pulumi.Resource] = [
        k8s.admissionregistration.v1.ValidatingWebhookConfiguration(
            f"{name}-validating-{hook.resource}",
            metadata=metadata(hook.configuration, own, annotations=NOT_AWAITED),
            webhooks=[k8s.admissionregistration.v1.ValidatingWebhookArgs(**_hook(hook))],
            opts=opts,
        )
        for hook in objects.VALIDATING
    ]
    return [mutating, *validating]


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
