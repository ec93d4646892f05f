"""From what the program says to the inputs of an object: kind, name, namespace."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from embedded.plugins.kubernetes import names
from embedded.plugins.kubernetes.normal import without_none
from embedded.plugins.kubernetes.tokens import Kind
from embedded.plugins.kubernetes.values import UNKNOWN
from slipway.core.errors import UsageError

_CLUSTER_WIDE: Final = frozenset(
    {
        ("", "Namespace"), ("", "Node"), ("", "PersistentVolume"), ("", "ComponentStatus"),
        ("admissionregistration.k8s.io", "*"), ("apiextensions.k8s.io", "*"), ("apiregistration.k8s.io", "*"),
        ("rbac.authorization.k8s.io", "ClusterRole"), ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("storage.k8s.io", "StorageClass"), ("storage.k8s.io", "CSIDriver"), ("storage.k8s.io", "CSINode"),
        ("storage.k8s.io", "VolumeAttachment"), ("storage.k8s.io", "VolumeAttributesClass"),
        ("scheduling.k8s.io", "PriorityClass"), ("node.k8s.io", "RuntimeClass"),
        ("networking.k8s.io", "IngressClass"), ("networking.k8s.io", "IPAddress"),
        ("networking.k8s.io", "ServiceCIDR"), ("certificates.k8s.io", "*"),
        ("flowcontrol.apiserver.k8s.io", "*"), ("resource.k8s.io", "DeviceClass"),
        ("resource.k8s.io", "ResourceSlice"),
    }
)  # fmt: skip
_BUILT_IN: Final = frozenset(
    {
        "", "apps", "batch", "autoscaling", "policy", "admissionregistration.k8s.io", "apiextensions.k8s.io",
        "apiregistration.k8s.io", "rbac.authorization.k8s.io", "storage.k8s.io", "scheduling.k8s.io",
        "node.k8s.io", "networking.k8s.io", "certificates.k8s.io", "flowcontrol.apiserver.k8s.io",
        "resource.k8s.io", "discovery.k8s.io", "coordination.k8s.io", "events.k8s.io",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Naming:
    """What the engine says about names of its own choice."""

    proposed: str = ""
    required: bool = False
    """Autonaming is switched off: the program has to give the name."""


def namespaced_by_nature(kind: Kind) -> bool | None:
    """Tell whether objects of a built-in kind live in a namespace; None for a kind that isn't built in."""
    if kind.group not in _BUILT_IN:
        return None
    return not _CLUSTER_WIDE & {(kind.group, kind.name), (kind.group, "*")}


def complete(
    kind: Kind,
    news: dict[str, Any],
    olds: dict[str, Any],
    *,
    urn: str,
    previous: str,
    naming: Naming,
    namespaced: Callable[[], bool | None],
    default_namespace: Callable[[], str],
) -> dict[str, Any]:
    """Return the inputs with kind, name and namespace.

    Args:
        kind: of the object.
        news: what the program says.
        olds: the inputs of the last run; empty for a new object or a replacement.
        urn: of the resource.
        previous: the name that a replacement takes over from.
        naming: the engine's wishes.
        namespaced: whether the kind lives in a namespace, as far as that can be told.
        default_namespace: where objects go that name none.

    Raises:
        UsageError: when a name is missing and must not be made.
    """
    inputs = {**without_none(news), "apiVersion": kind.api_version, "kind": kind.name}
    metadata = inputs.get("metadata", {})
    if metadata is UNKNOWN:
        return inputs
    metadata = _with_name(metadata, olds.get("metadata") or {}, urn, previous, naming)
    if not metadata.get("namespace") and namespaced():
        metadata = {**metadata, "namespace": default_namespace()}
    return {**inputs, "metadata": metadata}


def _with_name(
    metadata: dict[str, Any], old: dict[str, Any], urn: str, previous: str, naming: Naming
) -> dict[str, Any]:
    if metadata.get("name"):
        return metadata
    if metadata.get("generateName") is UNKNOWN:
        return {**metadata, "name": UNKNOWN}
    if old.get("name") and names.is_autonamed({"metadata": old}):
        return names.named(metadata, old["name"])
    if naming.required:
        raise UsageError("metadata.name is missing, and autonaming is switched off for this resource.")
    prefix = metadata.get("generateName")
    if prefix:
        return names.named(metadata, names.suffixed(urn, prefix.rstrip("-"), previous))
    return names.named(metadata, naming.proposed or names.suffixed(urn, urn.rpartition("::")[2], previous))
