"""Reads the manifests generated from KServe's sources: its CRDs and the controller's RBAC rules."""

import json
from pathlib import Path
from typing import Any

from infra.components.kserve import objects
from slipway.core.errors import UsageError


def load_crds(manifests: Path) -> dict[str, dict[str, Any]]:
    """Return KServe's CustomResourceDefinitions by plural name, in order.

    Raises:
        UsageError: A definition that the controller needs is missing.
    """
    return {plural: _document(manifests / "crds", plural) for plural in objects.CRDS}


def load_rules(manifests: Path) -> list[dict[str, Any]]:
    """Return the rules of the controller's generated ClusterRole."""
    rules: list[dict[str, Any]] = _document(manifests, "role")["rules"]
    return rules


def _document(folder: Path, name: str) -> dict[str, Any]:
    path = folder / f"{name}.json"
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(
            f"{path}: no such file.",
            why="It is part of the manifests generated from KServe's pinned sources.",
        ) from None
    return document
