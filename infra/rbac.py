"""Kubernetes RBAC rules of each role in a tenant's namespace. Pure: role -> rules.

Two invariants are tested: no rule has a wildcard, and only promoters and admins write InferenceServices.
No role may create pods, since a pod can read every Secret of its namespace. Code runs in pods through
the pipelines API, under the tenant's own ServiceAccount.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from infra.names import (
    COLLECTOR_SECRET,
    EDITOR,
    EDITOR_SECRET,
    LAUNCHER_CONFIG,
    PROMOTER_SECRET,
    RBAC_GROUP,
    RUNNER_SECRET,
)


class MemberRole(StrEnum):
    """Role of a member of a tenant."""

    ADMIN = "admin"
    """May do all that the other roles may, and manages members."""
    EDITOR = "editor"
    """Writes and runs pipelines."""
    VIEWER = "viewer"
    """Reads."""
    PROMOTER = "promoter"
    """Promotes models into serving."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of a Kubernetes Role."""

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()


_READ: Final = ("get", "list", "watch")
_WRITE: Final = ("create", "update", "patch", "delete")

_VIEW: Final = (
    Rule(
        groups=("",),
        resources=(
            "configmaps",
            "events",
            "limitranges",
            "persistentvolumeclaims",
            "pods",
            "pods/log",
            "resourcequotas",
            "serviceaccounts",
            "services",
        ),
        verbs=_READ,
    ),
    Rule(groups=("apps",), resources=("deployments", "replicasets"), verbs=_READ),
    Rule(groups=(RBAC_GROUP,), resources=("rolebindings", "roles"), verbs=_READ),
    Rule(groups=("networking.k8s.io",), resources=("networkpolicies",), verbs=_READ),
    Rule(groups=("serving.kserve.io",), resources=("inferenceservices",), verbs=_READ),
    Rule(
        groups=("pipelines.kubeflow.org",),
        resources=("experiments", "jobs", "pipelines", "pipelines/versions", "runs"),
        verbs=("get", "list"),
    ),
)
_EDIT: Final = (
    Rule(
        groups=("pipelines.kubeflow.org",),
        resources=("experiments", "jobs", "pipelines", "pipelines/versions", "runs"),
        verbs=("create", "update", "delete"),
    ),
    Rule(
        groups=("pipelines.kubeflow.org",),
        resources=("jobs", "runs"),
        verbs=("archive", "disable", "enable", "retry", "terminate", "unarchive"),
    ),
    Rule(groups=("",), resources=("secrets",), verbs=("get",), names=(EDITOR_SECRET,)),
    Rule(groups=("",), resources=("serviceaccounts/token",), verbs=("create",), names=(EDITOR,)),
)
_PROMOTE: Final = (
    Rule(groups=("serving.kserve.io",), resources=("inferenceservices",), verbs=_WRITE),
    Rule(groups=("",), resources=("secrets",), verbs=("get",), names=(PROMOTER_SECRET,)),
)
_ADMINISTER: Final = (
    # The API server does not let anyone bind a role with more permissions than their own.
    Rule(groups=(RBAC_GROUP,), resources=("rolebindings",), verbs=_WRITE),
    Rule(groups=("",), resources=("secrets",), verbs=("get",), names=(COLLECTOR_SECRET,)),
)

KFP_SERVER: Final = (
    Rule(groups=("",), resources=("configmaps",), verbs=("get",), names=(LAUNCHER_CONFIG,)),
    Rule(groups=("",), resources=("secrets",), verbs=("get",), names=(RUNNER_SECRET,)),
)
"""Permissions of the pipelines API in a tenant's namespace: read the launcher configuration and its key."""


def rules(role: MemberRole) -> tuple[Rule, ...]:
    """Return the role's rules in its tenant's namespace."""
    match role:
        case MemberRole.VIEWER:
            return _VIEW
        case MemberRole.EDITOR:
            return _VIEW + _EDIT
        case MemberRole.PROMOTER:
            return _VIEW + _PROMOTE
        case MemberRole.ADMIN:
            return _VIEW + _EDIT + _PROMOTE + _ADMINISTER
