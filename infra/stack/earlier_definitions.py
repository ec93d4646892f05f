"""Keeps KServe's definitions when an earlier stack's six resources become one. Pure.

Until 2026-11-29 each was a resource of the Kubernetes provider. The engine would delete these at the end of
the next `up`, and with each definition every object of its kind.
"""

from collections.abc import Mapping
from typing import Any, Final

_TYPE: Final = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
_NAME: Final = "::kserve-crd-"


def with_retained_definitions(exported: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an exported stack whose earlier definitions stay in the cluster; None where it has none."""
    resources = exported["deployment"].get("resources") or ()
    if not any(_is_earlier(each) for each in resources):
        return None
    kept = [{**each, "retainOnDelete": True} if _is_earlier(each) else each for each in resources]
    return {**exported, "deployment": {**exported["deployment"], "resources": kept}}


def _is_earlier(resource: Mapping[str, Any]) -> bool:
    return resource["type"] == _TYPE and _NAME in resource["urn"]
