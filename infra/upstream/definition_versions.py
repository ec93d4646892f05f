"""What a changed CustomResourceDefinition does to the objects of its kind. Pure."""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def definition_hazards(old: Json, new: Json) -> tuple[list[str], list[str]]:
    """Return what must not be done, and what depends on the objects that a cluster holds; in words.

    Args:
        old: The present definition's `spec`.
        new: The `spec` that would follow it.
    """
    forbidden: list[str] = []
    doubtful: list[str] = []
    if old.get("scope") != new.get("scope"):
        forbidden.append(f"its scope can't change from {old.get('scope')} to {new.get('scope')}")
    if _kind(old) != _kind(new):
        forbidden.append(f"its kind can't change from {_kind(old)} to {_kind(new)}")
    before = {version["name"]: version for version in old.get("versions") or ()}
    after = {version["name"]: version for version in new.get("versions") or ()}
    for name, version in before.items():
        if name not in after:
            if version.get("storage"):
                forbidden.append(
                    f"objects are stored as {name}, which is removed: they would be lost. First store them "
                    "in a version that stays, in a release that has both"
                )
            else:
                doubtful.append(
                    f"{name} is removed: the API server refuses this while status.storedVersions has {name}"
                )
        elif version.get("served") and not after[name].get("served"):
            doubtful.append(f"{name} is no longer served: clients that use it fail")
    stored = _storage(before), _storage(after)
    if stored[0] != stored[1] and stored[0] in after:
        doubtful.append(
            f"objects are stored as {stored[1]} from now on; those stored as {stored[0]} "
            "stay so until they are written again"
        )
    return forbidden, doubtful


def _kind(spec: Json) -> str:
    return str((spec.get("names") or {}).get("kind"))


def _storage(versions: Mapping[str, Json]) -> str | None:
    return next((name for name, version in versions.items() if version.get("storage")), None)
