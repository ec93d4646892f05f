"""Which kinds are waited for, and how. Pure."""

from typing import Any, Final

from embedded.plugins.kubernetes.readiness import others, workloads
from embedded.plugins.kubernetes.readiness.verdict import Rule
from embedded.plugins.kubernetes.tokens import Kind

_RULES: Final[dict[tuple[str, str], Rule]] = {
    ("apps", "Deployment"): Rule(workloads.deployment, pods=workloads.selected),
    ("apps", "StatefulSet"): Rule(workloads.stateful_set, pods=workloads.selected),
    ("apps", "DaemonSet"): Rule(workloads.daemon_set, pods=workloads.selected),
    ("apps", "ReplicaSet"): Rule(workloads.replica_set, pods=workloads.selected),
    ("batch", "Job"): Rule(workloads.job, pods=workloads.selected),
    ("", "Pod"): Rule(workloads.pod),
    ("", "Namespace"): Rule(others.namespace),
    ("", "PersistentVolumeClaim"): Rule(others.claim, others.claim_relatives),
    ("", "PersistentVolume"): Rule(others.volume),
    ("", "Service"): Rule(others.service, others.service_relatives, others.service_pods),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): Rule(others.custom_resource_definition),
    ("apiregistration.k8s.io", "APIService"): Rule(others.api_service),
    ("serving.kserve.io", "InferenceService"): Rule(others.conditioned),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): Rule(
        others.webhook_configuration, others.webhook_relatives
    ),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): Rule(
        others.webhook_configuration, others.webhook_relatives
    ),
}
SKIP_AWAIT: Final = "pulumi.com/skipAwait"


def rule_for(kind: Kind, properties: dict[str, Any]) -> Rule | None:
    """Return the rule for an object, or None where there is nothing to wait for."""
    annotations = (properties.get("metadata") or {}).get("annotations") or {}
    if annotations.get(SKIP_AWAIT) == "true":
        return None
    return _RULES.get((kind.group, kind.name))


def is_spent(kind: Kind, outputs: dict[str, Any]) -> bool:
    """Tell whether an object has failed for good: no update can mend a Job that gave up."""
    if (kind.group, kind.name) != ("batch", "Job"):
        return False
    conditions = (outputs.get("status") or {}).get("conditions") or []
    return any(item.get("type") == "Failed" and item.get("status") == "True" for item in conditions)
