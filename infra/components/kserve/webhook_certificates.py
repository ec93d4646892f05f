"""The certificate of an admission webhook: issued by a Job, renewed by a daily CronJob.

The program declares webhook configurations without a CA certificate. The Job creates a CA and a
certificate, stores them in a Secret and writes the CA certificate into the configurations under its own
field manager, so that the program and the Job don't overwrite each other.
"""

from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_kubernetes as k8s

from infra.cluster.handle import Image
from infra.names import PART_OF, RBAC_GROUP
from infra.pod_defaults import (
    container_security_context,
    metadata,
    pod_security_context,
    resources,
    scratch_mount,
    scratch_volume,
)

_ACCOUNT: Final = "webhook-certificates"
_RENEWAL: Final = "17 3 * * *"
"""Daily; the Job renews a certificate only shortly before it expires."""


@dataclass(frozen=True, kw_only=True)
class WebhookCertificatesArgs:
    """The Service to certify, the Secret of the certificate, and the configurations that trust it."""

    namespace: str
    service: str
    secret: str
    mutating: tuple[str, ...]
    validating: tuple[str, ...]
    image: Image

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables of the Job."""
        return {
            "SLIPWAY_NAMESPACE": self.namespace,
            "SLIPWAY_SERVICE": self.service,
            "SLIPWAY_SECRET": self.secret,
            "SLIPWAY_MUTATING": ",".join(self.mutating),
            "SLIPWAY_VALIDATING": ",".join(self.validating),
        }


class WebhookCertificates(pulumi.ComponentResource):
    """A certificate that is issued and kept valid."""

    def __init__(
        self, name: str, args: WebhookCertificatesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("slipway:components:WebhookCertificates", name, None, opts)
        self._name = name
        self._args = args
        self._labels = {
            **PART_OF,
            "app.kubernetes.io/name": "webhook-certificates",
            "app.kubernetes.io/component": "certificates",
        }
        access = self._access()
        digest = args.image.reference.rpartition(":")[2][:12]
        job = k8s.batch.v1.Job(
            f"{name}-issue",
            # A Job's pod template is immutable, so a new image needs a new Job under the same logical name.
            metadata=metadata(f"{_ACCOUNT}-{digest}", self._labels, namespace=args.namespace),
            spec={"backoff_limit": 4, "template": self._pod()},
            opts=pulumi.ResourceOptions(parent=self, depends_on=args.image.after(*access)),
        )
        k8s.batch.v1.CronJob(
            f"{name}-renewal",
            metadata=metadata(_ACCOUNT, self._labels, namespace=args.namespace),
            spec={
                "schedule": _RENEWAL,
                "concurrency_policy": "Forbid",
                "successful_jobs_history_limit": 1,
                "failed_jobs_history_limit": 3,
                "job_template": {
                    "metadata": {"labels": self._labels},
                    "spec": {"backoff_limit": 4, "template": self._pod()},
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[job]),
        )
        self.register_outputs({})

    def _access(self) -> list[pulumi.Resource]:
        args, name = self._args, self._name
        child = pulumi.ResourceOptions(parent=self)
        account = k8s.core.v1.ServiceAccount(
            f"{name}-account",
            metadata=metadata(_ACCOUNT, self._labels, namespace=args.namespace),
            opts=child,
        )
        role = k8s.rbac.v1.Role(
            f"{name}-role",
            metadata=metadata(_ACCOUNT, self._labels, namespace=args.namespace),
            rules=[
                # RBAC can't restrict `create` by resource name.
                {"api_groups": [""], "resources": ["secrets"], "verbs": ["create"]},
                {
                    "api_groups": [""],
                    "resources": ["secrets"],
                    "resource_names": [args.secret],
                    "verbs": ["get", "patch", "update"],
                },
            ],
            opts=child,
        )
        cluster_name = f"slipway-{args.namespace}-{_ACCOUNT}"
        cluster_role = k8s.rbac.v1.ClusterRole(
            f"{name}-cluster-role",
            metadata=metadata(cluster_name, self._labels),
            rules=[
                _patch("mutatingwebhookconfigurations", args.mutating),
                _patch("validatingwebhookconfigurations", args.validating),
            ],
            opts=child,
        )
        subjects = [{"kind": "ServiceAccount", "name": _ACCOUNT, "namespace": args.namespace}]
        binding = k8s.rbac.v1.RoleBinding(
            f"{name}-binding",
            metadata=metadata(_ACCOUNT, self._labels, namespace=args.namespace),
            role_ref={"api_group": RBAC_GROUP, "kind": "Role", "name": _ACCOUNT},
            subjects=subjects,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role, account]),
        )
        cluster_binding = k8s.rbac.v1.ClusterRoleBinding(
            f"{name}-cluster-binding",
            metadata=metadata(cluster_name, self._labels),
            role_ref={"api_group": RBAC_GROUP, "kind": "ClusterRole", "name": cluster_name},
            subjects=subjects,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[cluster_role, account]),
        )
        return [binding, cluster_binding]

    def _pod(self) -> k8s.core.v1.PodTemplateSpecArgs:
        return k8s.core.v1.PodTemplateSpecArgs(
            metadata={"labels": self._labels},
            spec={
                "service_account_name": _ACCOUNT,
                "restart_policy": "OnFailure",
                "security_context": pod_security_context(),
                "containers": [
                    {
                        "name": "certificates",
                        "image": self._args.image.reference,
                        "image_pull_policy": "IfNotPresent",
                        "command": ["python3", "-m", "infra.jobs.webhook_certificates"],
                        "env": [
                            {"name": variable, "value": value}
                            for variable, value in self._args.environment.items()
                        ],
                        "security_context": container_security_context(),
                        "resources": resources(cpu="20m", memory="64Mi", memory_limit="256Mi"),
                        "volume_mounts": [scratch_mount()],
                    }
                ],
                "volumes": [scratch_volume()],
            },
        )


def _patch(resource: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "api_groups": ["admissionregistration.k8s.io"],
        "resources": [resource],
        "resource_names": [*names],
        "verbs": ["get", "patch"],
    }
