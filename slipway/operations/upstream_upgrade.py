"""The upgrade planner: what changes from one locked bundle to another."""

import json
from pathlib import Path

from infra.upstream import lock, object_store
from infra.upstream.lock import Lock
from infra.upstream.objects import Identity
from infra.upstream.upgrade import Bundle, Change, Rendered, changes
from slipway.core.errors import UsageError

__all__ = ["Change", "is_forbidden", "plan"]


def plan(old: Path, new: Path) -> list[Change]:
    """Return every change from one bundle to another, with what follows from it.

    Args:
        old: The lock, or a folder with an exported bundle, of what is installed.
        new: The one that would follow.

    Raises:
        UsageError: One is missing or damaged, or its objects are not in the cache.
    """
    before, after = _lock_of(old), _lock_of(new)
    same = _digests(before) & _digests(after)
    return changes(_bundle(before, old, same), _bundle(after, new, same))


def is_forbidden(found: list[Change]) -> bool:
    """Return whether a change must not be done."""
    return any(change.consequence == "forbidden" for change in found)


def _lock_of(path: Path) -> Lock:
    file = path / lock.FILE if path.is_dir() else path
    try:
        return lock.parse(file.read_text(encoding="utf-8"), file.name)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{file} can't be read.",
            why=getattr(error, "strerror", None) or "It is not text.",
            fix="Name a lock, or a folder that `slipway upstream render --output` wrote.",
        ) from None


def _digests(of: Lock) -> set[tuple[Identity, str]]:
    return {(each.identity, each.sha256) for part in of.part for each in part.objects}


def _bundle(of: Lock, path: Path, same: set[tuple[Identity, str]]) -> Bundle:
    """Read the objects; those that both have are never compared, so their content is not needed."""
    return {
        each.identity: Rendered(
            part.name,
            {"sha256": each.sha256}
            if (each.identity, each.sha256) in same
            else json.loads(_content(each.sha256, path)),
        )
        for part in of.part
        for each in part.objects
    }


def _content(digest: str, path: Path) -> bytes:
    if path.is_dir():
        exported = object_store.place(path, digest)
        content = exported.read_bytes() if exported.is_file() else b""
        if object_store.digest(content) == digest:
            return content
        raise UsageError(
            f"The bundle {path} is damaged.",
            why=f"{exported.name[:12]} is missing or has other content.",
            fix="Export it again: slipway upstream render --output FOLDER",
        )
    try:
        return object_store.get(digest)
    except UsageError as error:
        raise UsageError(
            f"The objects of {path} are not in the cache.",
            why=error.what,
            fix="In a checkout that has this lock: slipway upstream fetch && slipway upstream render",
        ) from None
