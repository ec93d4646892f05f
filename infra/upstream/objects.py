"""Rendered objects: identity, the canonical form, and order. Pure."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.upstream.manifests import Document

_HOOK: Final = "helm.sh/hook"
_CLUSTER_SCOPED: Final = frozenset(
    [
        "APIService",
        "CSIDriver",
        "ClusterDomainClaim",
        "ClusterIssuer",
        "ClusterRole",
        "ClusterRoleBinding",
        "ClusterServingRuntime",
        "ClusterStorageContainer",
        "ClusterTrainingRuntime",
        "ClusterWorkflowTemplate",
        "CustomResourceDefinition",
        "DeviceClass",
        "GatewayClass",
        "IngressClass",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "Namespace",
        "PersistentVolume",
        "PriorityClass",
        "Profile",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    ]
)


@dataclass(frozen=True, order=True)
class Identity:
    """What distinguishes one object of a cluster from another."""

    api_version: str
    kind: str
    namespace: str
    """Empty for objects of the cluster."""
    name: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Identity":
        """Return the identity of a manifest."""
        metadata = document.get("metadata") or {}
        return cls(
            str(document.get("apiVersion", "")),
            str(document.get("kind", "")),
            str(metadata.get("namespace") or ""),
            str(metadata.get("name") or ""),
        )

    @property
    def group(self) -> str:
        """The API group; empty for the core's."""
        return self.api_version.rpartition("/")[0]

    @property
    def without_version(self) -> tuple[str, str, str, str]:
        """The same object in any version of its API."""
        return self.group, self.kind, self.namespace, self.name

    def __str__(self) -> str:
        """Name the object as people do."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def is_cluster_scoped(kind: str) -> bool:
    """Return whether objects of this kind have no namespace."""
    return kind in _CLUSTER_SCOPED


def in_namespace(documents: Iterable[Document], namespace: str) -> list[Document]:
    """Return the objects with the namespace that their manifests leave to the installer's default."""
    result = []
    for document in documents:
        metadata = document.get("metadata") or {}
        if not is_cluster_scoped(document["kind"]) and not metadata.get("namespace"):
            metadata = {**metadata, "namespace": namespace}
        result.append({**document, "metadata": metadata})
    return result


def finished(documents: Iterable[Document]) -> list[Document]:
    """Return the objects in order of identity, without what only the API server writes.

    Raises:
        ValueError: An object has no name or namespace, two are the same, or one is a hook of helm.
    """
    found: dict[Identity, Document] = {}
    for document in documents:
        result = copy.deepcopy(document)
        result.pop("status", None)
        metadata = result.setdefault("metadata", {})
        _drop_empty_timestamps(result)
        if is_cluster_scoped(result["kind"]):
            metadata.pop("namespace", None)
        elif not metadata.get("namespace"):
            raise ValueError(f"{Identity.of(result)} has no namespace")
        identity = Identity.of(result)
        if any(key.startswith(_HOOK) for key in metadata.get("annotations") or ()):
            raise ValueError(f"{identity} is a hook, which only helm itself runs: switch it off or remove it")
        if not identity.name:
            raise ValueError(f"an object of kind {identity.kind} has no name")
        if identity in found:
            raise ValueError(f"{identity} is there twice")
        found[identity] = result
    return [found[identity] for identity in sorted(found)]


def _drop_empty_timestamps(document: Document) -> None:
    """Remove `creationTimestamp: null`, which Go programs write into every metadata."""
    for metadata in (
        document["metadata"],
        ((document.get("spec") or {}).get("template") or {}).get("metadata") or {},
    ):
        if metadata.get("creationTimestamp", "") is None:
            del metadata["creationTimestamp"]
