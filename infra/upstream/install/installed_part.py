"""A part of the platform, installed object by object as its maker published it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi

from infra.cluster.handle import Connection
from infra.upstream import object_store
from infra.upstream.install import readiness
from infra.upstream.install.definitions import CustomResourceDefinitions
from infra.upstream.install.tokens import PART, READY

_DEFINITION: Final = "CustomResourceDefinition"
_WORKLOADS: Final = frozenset({"DaemonSet", "Deployment", "Job", "StatefulSet"})
_READ_AT_START: Final = frozenset({"ServiceAccount", "ConfigMap", "Secret"})
"""Kinds that pods need in order to start."""


@dataclass(frozen=True, kw_only=True)
class InstalledPartArgs:
    """One part, rendered."""

    documents: Sequence[Mapping[str, Any]]
    """Its objects; each has a name, and a namespace where its kind has one."""

    samples: Sequence[Mapping[str, Any]] = ()
    """Objects whose creation is tried without effect once the part is ready: each webhook must answer."""

    connection: Connection
    seconds: float = 600
    """Time limit until the part is ready."""

    ignore_changes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By kind, properties that controllers of the cluster own, as Pulumi writes paths."""


class InstalledPart(pulumi.ComponentResource):
    """Objects of one part, and a resource that others depend on: it exists once the part answers."""

    ready: pulumi.Resource

    def __init__(
        self, name: str, args: InstalledPartArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the objects, definitions first, and the wait for them."""
        super().__init__(PART, name, None, opts)
        self._name, self._args = name, args
        definitions = [each for each in args.documents if each["kind"] == _DEFINITION]
        others = [each for each in args.documents if each["kind"] != _DEFINITION]
        made: list[pulumi.Resource] = []
        if definitions:
            made.append(
                CustomResourceDefinitions(
                    f"{name}-definitions",
                    part=name,
                    documents=definitions,
                    connection=args.connection,
                    opts=pulumi.ResourceOptions(parent=self),
                )
            )
        for documents in _in_order(others):
            made.extend([self._object(each, after=[*made]) for each in documents])
        self.ready = Ready(
            f"{name}-ready",
            stage=name,
            documents=args.documents,
            samples=args.samples,
            connection=args.connection,
            seconds=args.seconds,
            opts=pulumi.ResourceOptions(parent=self, depends_on=made),
        )
        self.register_outputs({})

    def _object(self, document: Mapping[str, Any], after: Sequence[pulumi.Resource]) -> pulumi.Resource:
        kind, metadata = document["kind"], document["metadata"]
        # Untyped: the SDK's classes copy and rename every property, which takes seconds for a whole platform.
        return pulumi.CustomResource(
            f"kubernetes:{_version(document['apiVersion'])}:{kind}",
            "-".join(filter(None, (self._name, kind, metadata.get("namespace"), metadata["name"]))).lower(),
            _without_waiting(document),
            pulumi.ResourceOptions(
                parent=self,
                depends_on=after,
                ignore_changes=list(self._args.ignore_changes.get(kind, ())),
            ),
        )


class Ready(pulumi.CustomResource):
    """Exists once everything in a stage answers; what depends on it is made afterwards."""

    def __init__(
        self,
        name: str,
        *,
        stage: str,
        documents: Iterable[Mapping[str, Any]],
        samples: Iterable[Mapping[str, Any]],
        connection: Connection,
        seconds: float,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the wait for those of the `documents` that can be not ready, then for the samples."""
        keep = object_store.digest if pulumi.runtime.is_dry_run() else object_store.put
        every = [*documents]
        content = hashlib.sha256(b"\n".join(sorted(map(object_store.canonical, every)))).hexdigest()
        inputs = {
            "stage": stage,
            "content": content,
            "objects": [_reference(each) for each in every if readiness.judged(each["kind"])],
            "samples": [keep(object_store.canonical(each)) for each in samples],
            "seconds": seconds,
            "kubeconfig": connection.kubeconfig,
            "kubeconfigPath": connection.kubeconfig_path,
            "context": connection.context,
        }
        super().__init__(READY, name, inputs, opts)


def _without_waiting(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Let `Ready` alone wait for pods.

    The Kubernetes provider waits too, but may end without the pod's reason: it skips pods that it hears of
    before their ReplicaSet.
    """
    if document["kind"] not in _WORKLOADS:
        return document
    metadata = document["metadata"]
    annotations = {**(metadata.get("annotations") or {}), "pulumi.com/skipAwait": "true"}
    return {**document, "metadata": {**metadata, "annotations": annotations}}


def _in_order(documents: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Return the documents in groups: namespaces, what others read at their start, everything else."""
    groups: tuple[list[Mapping[str, Any]], ...] = ([], [], [])
    for each in documents:
        groups[0 if each["kind"] == "Namespace" else 1 if each["kind"] in _READ_AT_START else 2].append(each)
    return [group for group in groups if group]


def _reference(document: Mapping[str, Any]) -> dict[str, str]:
    metadata = document["metadata"]
    return {
        "apiVersion": document["apiVersion"],
        "kind": document["kind"],
        "namespace": metadata.get("namespace", ""),
        "name": metadata["name"],
    }


def _version(version: str) -> str:
    """Return group and version as the Kubernetes provider names them: the first group is `core`."""
    return version if "/" in version else f"core/{version}"
