"""Names of objects: given, or made as the official provider makes them. Pure."""

import hashlib
from typing import Any, Final

from embedded.plugins.kubernetes.values import UNKNOWN

AUTONAMED: Final = "pulumi.com/autonamed"
_LONGEST: Final = 63
_SUFFIX: Final = 8


def field_manager(urn: str) -> str:
    """Return the resource's own field manager.

    It derives from the URN, so that a run which was killed between the cluster's answer and the
    state's is recognised by the next one.
    """
    return f"pulumi-kubernetes-{hashlib.sha256(urn.encode()).hexdigest()[:8]}"


def suffixed(urn: str, base: str, previous: str = "") -> str:
    """Return `<base>-<8 hex>`.

    The suffix derives from the URN and from the name that is being replaced: a rerun after a kill
    finds what the first run made, a replacement never meets its predecessor.
    """
    digest = hashlib.sha256(f"{urn}\0{previous}".encode()).hexdigest()[:_SUFFIX]
    return f"{base[: _LONGEST - _SUFFIX - 1].rstrip('-.').lower()}-{digest}"


def is_autonamed(properties: dict[str, Any]) -> bool:
    """Tell whether the name was made here."""
    metadata = properties.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return isinstance(annotations, dict) and annotations.get(AUTONAMED) == "true"


def named(metadata: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the metadata with a name that was made, and the mark that it was."""
    annotations = metadata.get("annotations") or {}
    if annotations is not UNKNOWN:
        annotations = {**annotations, AUTONAMED: "true"}
    return {**metadata, "name": name, "annotations": annotations}


def identity(namespace: str | None, name: str) -> str:
    """Return the resource's id: `namespace/name`, or the name alone."""
    return f"{namespace}/{name}" if namespace else name


def parse_identity(identity: str) -> tuple[str | None, str]:
    """Take an id apart."""
    namespace, _, name = identity.rpartition("/")
    return namespace or None, name
