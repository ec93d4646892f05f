"""Objects of a part whose pods pull with a Secret. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

Document = Mapping[str, Any]

_TEMPLATES: Final[Mapping[str, tuple[str, ...]]] = {
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    "DaemonSet": ("spec", "template", "spec"),
    "Deployment": ("spec", "template", "spec"),
    "Job": ("spec", "template", "spec"),
    "StatefulSet": ("spec", "template", "spec"),
}
"""Where the spec of a workload's pods is, by kind."""


def with_pull_secret(document: Document, secret: str) -> Document:
    """Return an object that names the Secret in `imagePullSecrets`, if it has pods or gives them an account.

    Args:
        document: any object.
        secret: the Secret's name; each namespace of such an object must have one.
    """
    path = () if document["kind"] == "ServiceAccount" else _TEMPLATES.get(document["kind"])
    return document if path is None else _added(document, path, secret)


def namespaces_with_pods(documents: Iterable[Document]) -> set[str]:
    """Return the namespaces in which pods of these objects run."""
    return {each["metadata"]["namespace"] for each in documents if each["kind"] in _TEMPLATES}


def _added(document: Document, path: tuple[str, ...], secret: str) -> Document:
    if path:
        return {**document, path[0]: _added(document[path[0]], path[1:], secret)}
    named = {"name": secret}
    before = document.get("imagePullSecrets") or []
    return {**document, "imagePullSecrets": [*(each for each in before if each != named), named]}
