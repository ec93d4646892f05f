"""Who may do what in a tenant's namespace: its members, and the pipelines API."""

from collections.abc import Callable

import pulumi
import pulumi_kubernetes as k8s

from infra import rbac
from infra.names import EDITOR, KFP_NAMESPACE, KFP_SERVICE_ACCOUNT, RBAC_GROUP, VIEWER
from infra.settings.models import GroupMember, TenantSettings, UserMember

Metadata = Callable[[str], k8s.meta.v1.ObjectMetaArgs]
"""Returns the metadata of an object in the tenant's namespace, by its name."""


def grant(name: str, tenant: TenantSettings, metadata: Metadata, within: pulumi.ResourceOptions) -> None:
    """Declare a Role and its RoleBinding for each role of members, and one for the pipelines API.

    Args:
        name: Of the component; the resources' names begin with it.
        tenant: Names the members.
        metadata: Of the resources.
        within: Options of the resources.
    """

    def bind(role_name: str, rules: tuple[rbac.Rule, ...], subjects: list[k8s.rbac.v1.SubjectArgs]) -> None:
        role = k8s.rbac.v1.Role(
            f"{name}-role-{role_name}",
            metadata=metadata(role_name),
            rules=[
                k8s.rbac.v1.PolicyRuleArgs(
                    api_groups=[*rule.groups],
                    resources=[*rule.resources],
                    verbs=[*rule.verbs],
                    resource_names=[*rule.names] or None,
                )
                for rule in rules
            ],
            opts=within,
        )
        k8s.rbac.v1.RoleBinding(
            f"{name}-binding-{role_name}",
            metadata=metadata(role_name),
            role_ref={"api_group": RBAC_GROUP, "kind": "Role", "name": role_name},
            subjects=subjects,
            opts=pulumi.ResourceOptions.merge(within, pulumi.ResourceOptions(depends_on=[role])),
        )

    accounts = {rbac.MemberRole.EDITOR: EDITOR, rbac.MemberRole.VIEWER: VIEWER}
    for member_role in rbac.MemberRole:
        subjects = [_member(member) for member in tenant.members if member.role is member_role]
        if member_role in accounts:
            subjects.append(_account(accounts[member_role], tenant.name))
        bind(f"slipway-{member_role}", rbac.rules(member_role), subjects)
    bind("slipway-pipelines-api", rbac.KFP_SERVER, [_account(KFP_SERVICE_ACCOUNT, KFP_NAMESPACE)])


def _member(member: UserMember | GroupMember) -> k8s.rbac.v1.SubjectArgs:
    if isinstance(member, GroupMember):
        return k8s.rbac.v1.SubjectArgs(kind="Group", name=member.group, api_group=RBAC_GROUP)
    return k8s.rbac.v1.SubjectArgs(kind="User", name=member.user, api_group=RBAC_GROUP)


def _account(name: str, namespace: str) -> k8s.rbac.v1.SubjectArgs:
    return k8s.rbac.v1.SubjectArgs(kind="ServiceAccount", name=name, namespace=namespace)
