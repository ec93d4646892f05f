"""What of a live object the program has set, and how it stands now. Pure."""

import json
from typing import Any, Final

from embedded.plugins.kubernetes.normal import is_nothing, same
from embedded.plugins.kubernetes.values import Path, Value

_OF_THE_SERVER: Final = frozenset(
    {"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"}
)
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_NOT_COMPARED: Final = frozenset({"status", "apiVersion", "kind"})

Tree = dict[str, Any]
"""Who-owns-what, as `fieldsV1` writes it: `f:name`, `k:{"name":"x"}`, `v:"x"`."""


def seen(inputs: dict[str, Any], live: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs with each field as the cluster has it now.

    A field that still means what the program said keeps the program's spelling, so that defaults,
    quantities and what other managers own make no difference.
    """
    owned = _ownership(live)
    result = {key: value for key, value in inputs.items() if key in _NOT_COMPARED}
    rest = {key: value for key, value in inputs.items() if key not in _NOT_COMPARED}
    return {**result, **_project(rest, live, owned, ())}


def as_inputs(live: dict[str, Any]) -> dict[str, Any]:
    """Return a live object without what the server wrote: the inputs of an import."""
    metadata = {k: v for k, v in live.get("metadata", {}).items() if k not in _OF_THE_SERVER}
    annotations = {k: v for k, v in metadata.pop("annotations", {}).items() if k != _LAST_APPLIED}
    if annotations:
        metadata["annotations"] = annotations
    return {**{k: v for k, v in live.items() if k != "status"}, "metadata": metadata}


def without_ownership(live: dict[str, Any]) -> dict[str, Any]:
    """Return a live object as it goes into the state: without the book of who owns what."""
    metadata = {key: value for key, value in live.get("metadata", {}).items() if key != "managedFields"}
    return {**live, "metadata": metadata}


def managers(live: dict[str, Any]) -> list[str]:
    """Return the names of those who own a field of the object, ours among them."""
    entries = live.get("metadata", {}).get("managedFields", [])
    return sorted({entry.get("manager", "") for entry in entries})


def is_applied_by(live: dict[str, Any], manager: str) -> bool:
    """Tell whether `manager` has applied the object."""
    entries = live.get("metadata", {}).get("managedFields", [])
    return any(e.get("manager") == manager and e.get("operation") == "Apply" for e in entries)


def _project(wanted: Value, live: Value, owned: Tree, path: Path) -> Value:
    if isinstance(wanted, dict) and isinstance(live, dict):
        result = {}
        for key, value in wanted.items():
            if key in live:
                result[key] = _project(value, live[key], owned.get(f"f:{key}", {}), (*path, key))
            elif is_nothing(value):
                result[key] = value
        return result
    if isinstance(wanted, list) and isinstance(live, list):
        return _project_list(wanted, live, owned, path)
    if isinstance(wanted, dict | list) or isinstance(live, dict | list):
        return live
    return wanted if same(path, wanted, live) else live


def _project_list(wanted: list[Any], live: list[Any], owned: Tree, path: Path) -> list[Any]:
    selectors = [json.loads(key[2:]) for key in owned if key.startswith("k:")]
    if selectors:
        keys = tuple(selectors[0])
        matched = [(item, _partner(item, live, keys)) for item in wanted]
        return [
            _project(item, partner, _element(owned, partner, keys), (*path, index))
            for index, (item, partner) in enumerate(matched)
            if partner is not None
        ]
    if any(key.startswith("v:") for key in owned):
        return [item for item in wanted if item in live]
    if len(wanted) != len(live):
        return live
    return [_project(item, live[index], {}, (*path, index)) for index, item in enumerate(wanted)]


def _partner(item: Value, live: list[Any], keys: tuple[str, ...]) -> Value:
    """Find the element with the same key; a key that the program left out was defaulted."""
    for candidate in live:
        if all(key not in item or item[key] == candidate.get(key) for key in keys):
            return candidate
    return None


def _element(owned: Tree, element: dict[str, Any], keys: tuple[str, ...]) -> Tree:
    for key, subtree in owned.items():
        if key.startswith("k:"):
            selector = json.loads(key[2:])
            if all(selector.get(name) == element.get(name) for name in keys):
                return dict(subtree)
    return {}


def _ownership(live: dict[str, Any]) -> Tree:
    tree: Tree = {}
    for entry in live.get("metadata", {}).get("managedFields", []):
        _merge(tree, entry.get("fieldsV1", {}))
    return tree


def _merge(into: Tree, other: Tree) -> None:
    for key, value in other.items():
        _merge(into.setdefault(key, {}), value)
