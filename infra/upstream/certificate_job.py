"""The Job that issues a webhook's certificate, the daily CronJob that renews it, and their rights. Pure.

The program declares webhook configurations without a CA certificate. The Job creates a CA and a
certificate, stores them in a Secret and writes the CA certificate into the configurations under its own
field manager, so that the program and the Job don't overwrite each other.
"""

from collections.abc import Mapping
from typing import Any, Final

from infra.names import PART_OF, RBAC_GROUP
from infra.upstream.own_certificates import WebhookCertificate

Document = dict[str, Any]

_RENEWAL: Final = "17 3 * * *"
"""Daily; the Job renews a certificate only shortly before it expires."""
_LABELS: Final = {
    **PART_OF,
    "app.kubernetes.io/name": "webhook-certificates",
    "app.kubernetes.io/component": "certificates",
}
_SCRATCH: Final = "/tmp"  # noqa: S108  # a volume of the pod: its root file system is read-only


def job_objects(certificate: WebhookCertificate, image: str) -> list[Document]:
    """Return the objects that issue a certificate and keep it valid.

    Args:
        certificate: What to issue.
        image: The reference of the image with Slipway's own Jobs.
    """
    name, namespace = f"slipway-{certificate.secret}", certificate.namespace
    # A Job's pod template is immutable, so a new image needs a new Job.
    digest = image.rpartition(":")[2][:12]
    template = {"metadata": {"labels": dict(_LABELS)}, "spec": _pod(name, certificate, image)}
    job = {"backoffLimit": 4, "template": template}
    return [
        _object("v1", "ServiceAccount", name, namespace),
        *_access(name, certificate),
        _object("batch/v1", "Job", f"{name}-{digest}", namespace, spec=job),
        _object(
            "batch/v1",
            "CronJob",
            name,
            namespace,
            spec={
                "schedule": _RENEWAL,
                "concurrencyPolicy": "Forbid",
                "successfulJobsHistoryLimit": 1,
                "failedJobsHistoryLimit": 3,
                "jobTemplate": {"metadata": {"labels": dict(_LABELS)}, "spec": job},
            },
        ),
    ]


def environment(certificate: WebhookCertificate) -> dict[str, str]:
    """Return the environment variables of the Job."""
    return {
        "SLIPWAY_NAMESPACE": certificate.namespace,
        "SLIPWAY_SERVICE": certificate.service,
        "SLIPWAY_SECRET": certificate.secret,
        "SLIPWAY_MUTATING": ",".join(certificate.mutating),
        "SLIPWAY_VALIDATING": ",".join(certificate.validating),
    }


def _access(name: str, certificate: WebhookCertificate) -> list[Document]:
    namespace = certificate.namespace
    of_cluster = f"slipway-{namespace}-{certificate.secret}"
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]
    rbac = f"{RBAC_GROUP}/v1"
    secrets = [
        # RBAC can't restrict `create` by resource name.
        _rule("", "secrets", "create"),
        _rule("", "secrets", "get", "patch", "update", names=(certificate.secret,)),
    ]
    configurations = [
        _rule("admissionregistration.k8s.io", resource, "get", "patch", names=names)
        for resource, names in (
            ("mutatingwebhookconfigurations", certificate.mutating),
            ("validatingwebhookconfigurations", certificate.validating),
        )
        # A rule without names would be for every configuration.
        if names
    ]
    role, cluster_role = (
        {"apiGroup": RBAC_GROUP, "kind": "Role", "name": name},
        {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": of_cluster},
    )
    return [
        _object(rbac, "Role", name, namespace, rules=secrets),
        _object(rbac, "RoleBinding", name, namespace, roleRef=role, subjects=subjects),
        _object(rbac, "ClusterRole", of_cluster, rules=configurations),
        _object(rbac, "ClusterRoleBinding", of_cluster, roleRef=cluster_role, subjects=subjects),
    ]


def _pod(account: str, certificate: WebhookCertificate, image: str) -> Mapping[str, Any]:
    container = {
        "name": "certificates",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "infra.jobs.webhook_certificates"],
        "env": [{"name": name, "value": value} for name, value in environment(certificate).items()],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "volumeMounts": [{"name": "scratch", "mountPath": _SCRATCH}],
    }
    return {
        "serviceAccountName": account,
        "restartPolicy": "OnFailure",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }


def _object(version: str, kind: str, name: str, namespace: str = "", **content: object) -> Document:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), "labels": dict(_LABELS)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def _rule(group: str, resource: str, *verbs: str, names: tuple[str, ...] = ()) -> Document:
    rule = {"apiGroups": [group], "resources": [resource], "verbs": [*verbs]}
    return rule | ({"resourceNames": [*names]} if names else {})
