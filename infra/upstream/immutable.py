"""Fields that the API server does not let a running object change. Pure.

A change of one replaces the object: it is deleted and made again. Where that loses data it is forbidden.
Read in the validation of Kubernetes 1.34 (`pkg/apis/*/validation`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

Path = tuple[str, ...]

_SELECTOR: Final[tuple[Path, ...]] = (("spec", "selector"),)
_ROLE: Final[tuple[Path, ...]] = (("roleRef",),)

REPLACES: Final[Mapping[tuple[str, str], tuple[Path, ...]]] = {
    ("apps", "Deployment"): _SELECTOR,
    ("apps", "DaemonSet"): _SELECTOR,
    ("apps", "ReplicaSet"): _SELECTOR,
    ("apps", "StatefulSet"): (*_SELECTOR, ("spec", "serviceName"), ("spec", "podManagementPolicy")),
    ("batch", "Job"): (*_SELECTOR, ("spec", "template"), ("spec", "completionMode")),
    ("", "Service"): (("spec", "clusterIP"), ("spec", "clusterIPs")),
    ("", "Secret"): (("type",),),
    ("networking.k8s.io", "IngressClass"): (("spec", "controller"),),
    ("node.k8s.io", "RuntimeClass"): (("handler",),),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _ROLE,
    ("rbac.authorization.k8s.io", "RoleBinding"): _ROLE,
    ("scheduling.k8s.io", "PriorityClass"): (("value",), ("preemptionPolicy",)),
    ("storage.k8s.io", "StorageClass"): (
        ("provisioner",),
        ("parameters",),
        ("reclaimPolicy",),
        ("volumeBindingMode",),
    ),
}
"""Fields by group and kind."""

FORBIDDEN: Final[Mapping[tuple[str, str], tuple[Path, ...]]] = {
    ("apps", "StatefulSet"): (("spec", "volumeClaimTemplates"),),
    ("", "PersistentVolumeClaim"): (
        ("spec", "accessModes"),
        ("spec", "dataSource"),
        ("spec", "selector"),
        ("spec", "storageClassName"),
        ("spec", "volumeMode"),
        ("spec", "volumeName"),
    ),
}
"""Fields of objects that hold data."""

_DEFAULTS: Final[Mapping[tuple[str, str, Path], Any]] = {
    ("", "Secret", ("type",)): "Opaque",
    ("apps", "StatefulSet", ("spec", "podManagementPolicy")): "OrderedReady",
    ("batch", "Job", ("spec", "completionMode")): "NonIndexed",
    ("", "PersistentVolumeClaim", ("spec", "volumeMode")): "Filesystem",
    ("scheduling.k8s.io", "PriorityClass", ("preemptionPolicy",)): "PreemptLowerPriority",
    ("storage.k8s.io", "StorageClass", ("reclaimPolicy",)): "Delete",
    ("storage.k8s.io", "StorageClass", ("volumeBindingMode",)): "Immediate",
}
"""What the API server writes where a manifest has no such field: naming the default changes nothing."""


def changed(
    group: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    fields: Mapping[tuple[str, str], Sequence[Path]],
) -> list[str]:
    """Return those of the fields that differ between two versions of an object, joined by dots.

    Args:
        group: The objects' API group.
        old: The present object.
        new: The one that would follow it.
        fields: `REPLACES` or `FORBIDDEN`.
    """
    kind = str(new.get("kind"))
    paths = list(fields.get((group, kind), ()))
    if fields is REPLACES and kind in ("ConfigMap", "Secret") and not group and old.get("immutable"):
        paths += [("data",), ("binaryData",), ("stringData",), ("immutable",)]
    return [".".join(path) for path in paths if _at(group, old, path) != _at(group, new, path)]


def _at(group: str, document: Mapping[str, Any], path: Path) -> Any:  # noqa: ANN401 - any JSON value
    place: Any = document
    for step in path:
        place = place.get(step) if isinstance(place, Mapping) else None
    return _DEFAULTS.get((group, str(document.get("kind")), path)) if place is None else place
