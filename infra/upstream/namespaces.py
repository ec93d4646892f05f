"""Namespaces of the bundle: those that parts make, and those that objects name. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from infra.upstream.manifests import Document
from infra.upstream.objects import Identity
from infra.upstream.part import Part

ENFORCE: Final = "pod-security.kubernetes.io/enforce"
BUILT_IN: Final = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})
_CA_FROM: Final = "cert-manager.io/inject-ca-from"


def with_namespaces(part: Part, documents: Iterable[Document]) -> list[Document]:
    """Return the objects with every namespace of the part, each with its level of Pod Security.

    Raises:
        ValueError: A Namespace was rendered that the part does not name.
    """
    result: list[Document] = []
    metadata: dict[str, dict[str, Any]] = {name: {"name": name} for name in part.namespaces}
    for document in documents:
        if document["kind"] != "Namespace":
            result.append(document)
            continue
        name = document["metadata"]["name"]
        if name not in metadata:
            raise ValueError(f"Namespace {name} is rendered, and the part's `namespaces` don't name it")
        metadata[name] = document["metadata"]
    for name, level in part.namespaces.items():
        labels = {**(metadata[name].get("labels") or {}), ENFORCE: level}
        result.append(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {**metadata[name], "labels": labels}}
        )
    return result


def named(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield every namespace that an object is in or points to."""
    identity = Identity.of(document)
    if identity.namespace:
        yield identity.namespace
    for subject in document.get("subjects") or ():
        if subject.get("namespace"):
            yield subject["namespace"]
    source = str(((document.get("metadata") or {}).get("annotations") or {}).get(_CA_FROM) or "")
    if "/" in source:
        yield source.partition("/")[0]
    spec = document.get("spec") or {}
    configurations = [webhook.get("clientConfig") or {} for webhook in document.get("webhooks") or ()]
    conversion = (spec.get("conversion") or {}).get("webhook") if isinstance(spec, dict) else None
    if conversion:
        configurations.append(conversion.get("clientConfig") or {})
    for configuration in configurations:
        if (configuration.get("service") or {}).get("namespace"):
            yield configuration["service"]["namespace"]


def unknown(documents: Iterable[Mapping[str, Any]], known: Iterable[str]) -> list[tuple[Identity, str]]:
    """Return the objects that name a namespace which no part makes, with its name."""
    every = {*BUILT_IN, *known}
    return [
        (Identity.of(document), name)
        for document in documents
        for name in dict.fromkeys(named(document))
        if name not in every
    ]
