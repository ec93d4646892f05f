"""Who may do what in a tenant's namespace. Pure: role -> rules.

Two lines hold everywhere and are tested: no rule has a wildcard, and nobody but a promoter writes an
InferenceService. Nobody makes pods either: who makes a pod reads every Secret of its namespace. Work
gets into pods by way of the pipelines API, which runs it under the tenant's own ServiceAccount.
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
    RUNNER_SECRET,
)


class Role(StrEnum):
    """What a member of a tenant is."""

    ADMIN = "admin"
    """Everything the others may, and who is a member."""
    EDITOR = "editor"
    """Writes and runs pipelines."""
    VIEWER = "viewer"
    """Looks."""
    PROMOTER = "promoter"
    """Puts models into service."""


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
    Rule(groups=("rbac.authorization.k8s.io",), resources=("rolebindings", "roles"), verbs=_READ),
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
    # The API server lets nobody bind a role that holds more than they do.
    Rule(groups=("rbac.authorization.k8s.io",), resources=("rolebindings",), verbs=_WRITE),
    Rule(groups=("",), resources=("secrets",), verbs=("get",), names=(COLLECTOR_SECRET,)),
)

KFP_SERVER: Final = (
    Rule(groups=("",), resources=("configmaps",), verbs=("get",), names=(LAUNCHER_CONFIG,)),
    Rule(groups=("",), resources=("secrets",), verbs=("get",), names=(RUNNER_SECRET,)),
)
"""What the pipelines API may do in a tenant's namespace: learn where its runs write, and with which key."""


def rules(role: Role) -> tuple[Rule, ...]:
    """Return what the role may do in its tenant's namespace."""
    match role:
        case Role.VIEWER:
            return _VIEW
        case Role.EDITOR:
            return _VIEW + _EDIT
        case Role.PROMOTER:
            return _VIEW + _PROMOTE
        case Role.ADMIN:
            return _VIEW + _EDIT + _PROMOTE + _ADMINISTER
