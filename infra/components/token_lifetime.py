"""Limits the lifetime of tokens of the tenants' ServiceAccounts, on any cluster."""

import pulumi
import pulumi_kubernetes as k8s

from infra import admission
from infra.names import PART_OF
from infra.pod_defaults import metadata


class TokenLifetime(pulumi.ComponentResource):
    """The admission policy that denies tokens with too long a lifetime, and its binding."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:components:TokenLifetime", name, None, opts)
        labels = {
            **PART_OF,
            "app.kubernetes.io/name": "token-lifetime",
            "app.kubernetes.io/component": "policy",
        }
        policy = k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
            f"{name}-policy",
            metadata=metadata(admission.TOKEN_LIFETIME, labels),
            spec=admission.token_lifetime(),
            opts=pulumi.ResourceOptions(parent=self),
        )
        k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
            f"{name}-binding",
            metadata=metadata(admission.TOKEN_LIFETIME, labels),
            spec={"policy_name": admission.TOKEN_LIFETIME, "validation_actions": ["Deny"]},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.register_outputs({})
