"""Parts without cert-manager: which certificates a Job of Slipway's issues in its place. Pure.

Upstream's manifests leave the certificates of webhooks to cert-manager: an Issuer, a Certificate with the
Secret that the controller mounts, and an annotation on each configuration that must trust it. cert-manager's
programs can't be built from the Go module proxy, so a cluster that has none of its own gets them from
`infra.jobs.webhook_certificates`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Document = Mapping[str, Any]

PART: Final = "cert-manager"
"""The part that is not installed."""
_GROUP: Final = "cert-manager.io/"
"""Of its kinds, and of its annotations."""
_INJECT: Final = "cert-manager.io/inject-ca-from"
_CONFIGURATIONS: Final = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


@dataclass(frozen=True, kw_only=True)
class WebhookCertificate:
    """The Service to certify, the Secret of the certificate, and the configurations that trust it."""

    namespace: str
    service: str
    secret: str
    mutating: tuple[str, ...]
    validating: tuple[str, ...]


def without_cert_manager(
    documents: Iterable[Document],
) -> tuple[list[Document], list[WebhookCertificate]]:
    """Return the objects without those and what is cert-manager's, and the certificates to issue.

    Args:
        documents: Objects of one part.

    Raises:
        ValueError: A certificate is not one of a webhook's Service, or something else wants its CA.
    """
    every = [*documents]
    left = [each for each in every if not each["apiVersion"].startswith(_GROUP)]
    certificates = [
        _certificate(each, [other for other in left if _wants(other, each)])
        for each in every
        if each["apiVersion"].startswith(_GROUP) and each["kind"] == "Certificate"
    ]
    return [_without_annotations(each) for each in left], certificates


def _certificate(document: Document, wanting: Sequence[Document]) -> WebhookCertificate:
    name, namespace = document["metadata"]["name"], document["metadata"]["namespace"]
    others = [each for each in wanting if each["kind"] not in _CONFIGURATIONS]
    services = {
        (hook["clientConfig"]["service"]["namespace"], hook["clientConfig"]["service"]["name"])
        for each in wanting
        if each not in others
        for hook in each["webhooks"]
    }
    if others or len(services) != 1:
        raise ValueError(f"Certificate {namespace}/{name} is not that of one Service of webhooks")
    [(of, service)] = services
    if of != namespace or f"{service}.{of}.svc" not in document["spec"]["dnsNames"]:
        raise ValueError(f"Certificate {namespace}/{name} is not for the Service {of}/{service}")
    mutating, validating = (
        tuple(each["metadata"]["name"] for each in wanting if each["kind"] == kind)
        for kind in _CONFIGURATIONS
    )
    return WebhookCertificate(
        namespace=namespace,
        service=service,
        secret=document["spec"]["secretName"],
        mutating=mutating,
        validating=validating,
    )


def _wants(document: Document, certificate: Document) -> bool:
    """Return whether cert-manager would put the certificate's CA into the document."""
    metadata = certificate["metadata"]
    source = (document["metadata"].get("annotations") or {}).get(_INJECT)
    return source == f"{metadata['namespace']}/{metadata['name']}"


def _without_annotations(document: Document) -> Document:
    annotations = document["metadata"].get("annotations") or {}
    kept = {key: value for key, value in annotations.items() if not key.startswith(_GROUP)}
    if kept == annotations:
        return document
    metadata = {key: value for key, value in document["metadata"].items() if key != "annotations"}
    return {**document, "metadata": {**metadata, "annotations": kept} if kept else metadata}
