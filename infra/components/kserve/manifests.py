"""What KServe's sources generate, read from a folder: definitions of its kinds and the controller's rules."""

from pathlib import Path
from typing import Any, Final

import yaml

from infra.components.kserve import objects
from slipway.core.errors import UsageError

_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Of libyaml where it is there: 0.7 s instead of 3.0 s in every run (2026-11-22)."""


def _documents(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise UsageError(
            f"{path}: no such file.",
            why="It is part of the manifests generated from KServe's pinned sources.",
        )
    return [document for document in yaml.load_all(path.read_text(), Loader=_Loader) if document]


def load_crds(manifests: Path) -> dict[str, dict[str, Any]]:
    """Return KServe's CustomResourceDefinitions by plural name, in order.

    Raises:
        UsageError: If the folder lacks one that the controller reads.
    """
    found = {
        document["spec"]["names"]["plural"]: document
        for path in sorted((manifests / "crds").glob("*.yaml"))
        for document in _documents(path)
    }
    missing = [plural for plural in objects.CRDS if plural not in found]
    if missing:
        raise UsageError(f"{manifests / 'crds'}: no definition of {', '.join(missing)}.")
    return {plural: found[plural] for plural in objects.CRDS}


def load_rules(manifests: Path) -> list[dict[str, Any]]:
    """Return the rules of the controller's generated ClusterRole."""
    return [
        rule
        for document in _documents(manifests / "role.yaml")
        if document["kind"] == "ClusterRole"
        for rule in document["rules"]
    ]
