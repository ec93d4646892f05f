"""The objects of the cluster that a stack's state holds. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.upstream.install.shared_names import DEFINITIONS

_PREFIX: Final = "kubernetes:"


@dataclass(frozen=True, kw_only=True)
class DeclaredObject:
    """One object, as the program declared it."""

    api_version: str
    kind: str
    namespace: str
    """Empty for an object of the whole cluster."""

    name: str
    inputs: Mapping[str, Any]

    def __str__(self) -> str:
        """Return its name in messages, such as `NetworkPolicy team-a/allow-dns`."""
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


def declared_objects(exported: Mapping[str, Any]) -> Iterator[DeclaredObject]:
    """Yield the objects of an exported stack, in the order of their creation."""
    for resource in exported["deployment"].get("resources") or ():
        if resource["type"] == DEFINITIONS:
            yield from _definitions(resource.get("inputs") or {})
        if not (resource.get("custom") and resource["type"].startswith(_PREFIX) and resource.get("id")):
            continue
        inputs = resource.get("inputs") or {}
        # `kubernetes:core/v1:Secret`; the group of the first kinds has no name in the API.
        _, version, kind = resource["type"].split(":")
        namespace, _, name = resource["id"].rpartition("/")
        yield DeclaredObject(
            api_version=str(inputs.get("apiVersion") or version.removeprefix("core/")),
            kind=str(inputs.get("kind") or kind),
            namespace=namespace,
            name=name,
            inputs=inputs,
        )


def _definitions(inputs: Mapping[str, Any]) -> Iterator[DeclaredObject]:
    """Yield the definitions that one resource of the provider `slipway` holds."""
    for name in inputs.get("definitions") or {}:
        yield DeclaredObject(
            api_version="apiextensions.k8s.io/v1",
            kind="CustomResourceDefinition",
            namespace="",
            name=name,
            inputs={},
        )


def outputs_of(exported: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the outputs of an exported stack, secret ones as Pulumi stores them; empty if it is not up."""
    for resource in exported["deployment"].get("resources") or ():
        if resource["type"] == "pulumi:pulumi:Stack":
            outputs: Mapping[str, Any] = resource.get("outputs") or {}
            return outputs
    return {}
