"""Objects of a part whose pods pull with a Secret. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from infra.upstream.pod_security import POD_TEMPLATES

Document = Mapping[str, Any]


def with_pull_secret(document: Document, secret: str) -> Document:
    """Return an object that names the Secret in `imagePullSecrets`, if it has pods or gives them an account.

    Args:
        document: any object.
        secret: the Secret's name; each namespace of such an object must have one.
    """
    if document["kind"] == "ServiceAccount":
        return _added(document, (), secret)
    template = POD_TEMPLATES.get(document["kind"])
    return document if template is None else _added(document, (*template, "spec"), secret)


def namespaces_with_pods(documents: Iterable[Document]) -> set[str]:
    """Return the namespaces in which pods of these objects run."""
    return {each["metadata"]["namespace"] for each in documents if each["kind"] in POD_TEMPLATES}


def _added(document: Document, path: tuple[str, ...], secret: str) -> Document:
    if path:
        return {**document, path[0]: _added(document[path[0]], path[1:], secret)}
    named = {"name": secret}
    before = document.get("imagePullSecrets") or []
    return {**document, "imagePullSecrets": [*(each for each in before if each != named), named]}
