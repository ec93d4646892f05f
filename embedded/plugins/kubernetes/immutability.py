"""Fields that the API server does not let change: changing one replaces the object. Pure facts.

From the update validations of Kubernetes 1.34 (`pkg/apis/*/validation`).
"""

from dataclasses import dataclass
from typing import Any, Final

from embedded.plugins.kubernetes.tokens import Kind
from embedded.plugins.kubernetes.values import Path

_Pattern = tuple[str, ...]


@dataclass(frozen=True)
class Frozen:
    """A subtree that can't change, apart from some fields of it. `*` is any index or key."""

    pattern: _Pattern
    apart_from: tuple[_Pattern, ...] = ()


def _paths(*texts: str) -> tuple[Frozen, ...]:
    return tuple(Frozen(tuple(text.split("."))) for text in texts)


def _apart(text: str, *others: str) -> tuple[Frozen, ...]:
    return (Frozen(tuple(text.split(".")), tuple(tuple(other.split(".")) for other in others)),)


_EVERY: Final = _paths("metadata.name", "metadata.namespace")
_KINDS: Final[dict[tuple[str, str], tuple[Frozen, ...]]] = {
    ("apps", "Deployment"): _paths("spec.selector"),
    ("apps", "DaemonSet"): _paths("spec.selector"),
    ("apps", "ReplicaSet"): _paths("spec.selector"),
    ("apps", "StatefulSet"): _apart(
        "spec",
        "spec.replicas", "spec.ordinals", "spec.template", "spec.updateStrategy", "spec.revisionHistoryLimit",
        "spec.persistentVolumeClaimRetentionPolicy", "spec.minReadySeconds",
    ),
    ("batch", "Job"): _paths(
        "spec.selector", "spec.template", "spec.completions", "spec.completionMode", "spec.manualSelector",
        "spec.podFailurePolicy", "spec.successPolicy", "spec.backoffLimitPerIndex", "spec.managedBy",
    ),
    ("", "Pod"): _apart(
        "spec",
        "spec.containers.*.image", "spec.initContainers.*.image", "spec.activeDeadlineSeconds",
        "spec.tolerations", "spec.terminationGracePeriodSeconds", "spec.schedulingGates",
    ),
    ("", "Service"): _paths("spec.clusterIP", "spec.clusterIPs"),
    ("", "PersistentVolumeClaim"): _apart("spec", "spec.resources", "spec.volumeAttributesClassName"),
    ("", "PersistentVolume"): _apart(
        "spec",
        "spec.capacity", "spec.accessModes", "spec.claimRef", "spec.persistentVolumeReclaimPolicy",
        "spec.storageClassName", "spec.mountOptions", "spec.volumeAttributesClassName",
    ),
    ("", "Secret"): _paths("type"),
    ("", "ResourceQuota"): _paths("spec.scopes", "spec.scopeSelector"),
    ("rbac.authorization.k8s.io", "RoleBinding"): _paths("roleRef"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _paths("roleRef"),
    ("storage.k8s.io", "StorageClass"): _paths(
        "provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"
    ),
    ("scheduling.k8s.io", "PriorityClass"): _paths("value", "preemptionPolicy"),
    ("node.k8s.io", "RuntimeClass"): _paths("handler"),
    ("networking.k8s.io", "IngressClass"): _paths("spec.controller"),
    ("discovery.k8s.io", "EndpointSlice"): _paths("addressType"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _paths(
        "spec.group", "spec.scope", "spec.names.kind", "spec.names.plural"
    ),
}  # fmt: skip
_CONTENTS: Final = _paths("data", "binaryData")


def replaces(kind: Kind, path: Path, old: dict[str, Any], *, contents: bool = False) -> bool:
    """Tell whether a change at `path` needs a new object.

    Args:
        kind: of the object.
        path: where it changes.
        old: the object as it was.
        contents: whether the data of a ConfigMap or Secret is to be replaced rather than changed.
    """
    rules = _EVERY + _KINDS.get((kind.group, kind.name), ())
    if kind.group == "" and kind.name in {"ConfigMap", "Secret"}:
        if old.get("immutable") is True:
            rules += (*_CONTENTS, *_paths("immutable"))
        elif contents:
            rules += _CONTENTS
    return any(_touches(rule, path) for rule in rules)


def _touches(rule: Frozen, path: Path) -> bool:
    if any(_matches(other, path) and len(other) <= len(path) for other in rule.apart_from):
        return False
    return _matches(rule.pattern, path)


def _matches(pattern: _Pattern, path: Path) -> bool:
    """Tell whether one is a prefix of the other: a change of the whole changes its parts."""
    return all(step in ("*", part) for step, part in zip(pattern, path, strict=False))
