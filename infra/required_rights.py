"""What the program does in a cluster: the rights that `up` and `destroy` need there. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

VERBS: Final = ("get", "create", "patch", "delete")
"""Of each resource: the providers apply, look and delete. They also list and watch what they wait for."""


@dataclass(frozen=True)
class Right:
    """One verb on one resource, in every namespace."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        """Return it in words, such as `create deployments.apps`."""
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


RESOURCES: Final[dict[str, tuple[str, str]]] = {
    "ClusterRole": ("rbac.authorization.k8s.io", "clusterroles"),
    "ClusterRoleBinding": ("rbac.authorization.k8s.io", "clusterrolebindings"),
    "ClusterServingRuntime": ("serving.kserve.io", "clusterservingruntimes"),
    "ClusterStorageContainer": ("serving.kserve.io", "clusterstoragecontainers"),
    "ConfigMap": ("", "configmaps"),
    "CronJob": ("batch", "cronjobs"),
    "CustomResourceDefinition": ("apiextensions.k8s.io", "customresourcedefinitions"),
    "Deployment": ("apps", "deployments"),
    "Job": ("batch", "jobs"),
    "LimitRange": ("", "limitranges"),
    "MutatingWebhookConfiguration": ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    "Namespace": ("", "namespaces"),
    "NetworkPolicy": ("networking.k8s.io", "networkpolicies"),
    "PersistentVolumeClaim": ("", "persistentvolumeclaims"),
    "PodDisruptionBudget": ("policy", "poddisruptionbudgets"),
    "ResourceQuota": ("", "resourcequotas"),
    "Role": ("rbac.authorization.k8s.io", "roles"),
    "RoleBinding": ("rbac.authorization.k8s.io", "rolebindings"),
    "Secret": ("", "secrets"),
    "Service": ("", "services"),
    "ServiceAccount": ("", "serviceaccounts"),
    "StatefulSet": ("apps", "statefulsets"),
    "ValidatingAdmissionPolicy": ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    "ValidatingAdmissionPolicyBinding": ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    "ValidatingWebhookConfiguration": ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
}
"""Group and plural of each kind that the program declares; a test compares the two."""


OF_CERT_MANAGER: Final = (("cert-manager.io", "certificates"), ("cert-manager.io", "issuers"))
"""Group and plural of what the program declares where the cluster's own cert-manager issues certificates."""


OF_GATEWAY_API: Final = (
    ("cert-manager.io", "certificates"),
    ("gateway.networking.k8s.io", "gateways"),
    ("gateway.networking.k8s.io", "httproutes"),
    ("gateway.networking.k8s.io", "tlsroutes"),
)
"""Group and plural of what the program declares where a Gateway publishes the Services."""


def required_rights(*, cert_manager: bool = False, gateway_api: bool = False) -> Iterator[Right]:
    """Yield every right, resource by resource.

    Args:
        cert_manager: whether the cluster's own cert-manager issues the certificates of webhooks.
        gateway_api: whether a Gateway publishes the Services.
    """
    optional = (*(OF_CERT_MANAGER if cert_manager else ()), *(OF_GATEWAY_API if gateway_api else ()))
    for group, resource in dict.fromkeys((*RESOURCES.values(), *optional)):
        for verb in VERBS:
            yield Right(group, resource, verb)
    for resource in ("clusterroles", "roles"):
        # Roles give tenants rights that the person who runs `up` may not have.
        yield Right("rbac.authorization.k8s.io", resource, "escalate")
        yield Right("rbac.authorization.k8s.io", resource, "bind")
    yield Right("storage.k8s.io", "storageclasses", "list")
    yield Right("storage.k8s.io", "storageclasses", "get")
    if gateway_api:
        yield Right("gateway.networking.k8s.io", "gatewayclasses", "list")
    yield Right("", "pods", "list")
    yield Right("", "events", "list")
