"""The bundle as it is read: parts, their entries in the lock, and their objects in the cache.

Nothing here fetches or renders: `slipway upstream fetch` and `render` have put the objects there.
"""

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.upstream import lock, locking, object_store
from infra.upstream.lock import Lock, LockedPart
from infra.upstream.manifests import Document
from infra.upstream.part import Accepts, Part, Refuses
from infra.upstream.parts import PARTS
from slipway.core.errors import UsageError

LOCK_FILE: Final = Path(__file__).resolve().parents[2] / lock.FILE


@dataclass(frozen=True)
class BundledPart:
    """One part, locked and rendered."""

    part: Part
    entry: LockedPart
    documents: list[Document]

    @property
    def samples(self) -> list[Mapping[str, Any]]:
        """Objects whose creation, tried without effect, shows that the part's webhooks answer."""
        return [probe.document for probe in self.part.probes if isinstance(probe, Accepts)]

    @property
    def refused(self) -> dict[str, Mapping[str, Any]]:
        """Objects that a webhook of the part must refuse, by words of its refusal."""
        return {probe.words: probe.document for probe in self.part.probes if isinstance(probe, Refuses)}


def read_lock(path: Path) -> Lock:
    """Return a lock; an empty one if there is none.

    Raises:
        UsageError: It is damaged.
    """
    try:
        return lock.parse(path.read_text(encoding="utf-8"), path.name)
    except FileNotFoundError:
        return Lock()


def chosen(names: Iterable[str], parts: Mapping[str, Part]) -> list[Part]:
    """Return the named ones of the parts; all of them if none is named.

    Raises:
        UsageError: There is no such part.
    """
    wanted = list(dict.fromkeys(names)) or list(parts)
    for name in wanted:
        if name not in parts:
            raise UsageError(f"There is no part {name!r}.", fix=f"The parts are {', '.join(parts)}.")
    return [parts[name] for name in wanted]


def entry_of(part: Part, current: Lock) -> LockedPart:
    """Return the lock's entry of a part.

    Raises:
        UsageError: There is none, or it is of another version of the part.
    """
    entry = current.find(part.name)
    fix = f"slipway upstream fetch --update {part.name} && slipway upstream render --update {part.name}"
    if entry is None:
        raise UsageError(f"{part.name} is not in {lock.FILE}.", fix=f"Lock it: {fix}")
    differ = locking.pins_that_differ(part, entry)
    if differ:
        raise UsageError(
            f"{part.name} is not what {lock.FILE} has.",
            why=f"infra/upstream/parts says {'; '.join(differ)}.",
            fix=f"Restore one of them from version control, or lock the change: {fix}",
        )
    return entry


def documents_of(entry: LockedPart) -> list[Document]:
    """Return the objects of a locked part, each verified by its digest, in order of identity.

    Raises:
        UsageError: One is not in the cache, or damaged there.
    """
    try:
        return [json.loads(object_store.get(each.sha256)) for each in entry.objects]
    except UsageError as error:
        raise UsageError(
            f"The objects of {entry.name} are not in the cache.",
            why=error.what,
            fix=f"slipway upstream fetch {entry.name} && slipway upstream render {entry.name}",
        ) from None


def locked(names: Iterable[str], *, without: Container[str] = ()) -> list[tuple[Part, LockedPart]]:
    """Return the named parts and all that they need, each after those that it needs, with their entries.

    Args:
        names: Of the parts.
        without: Parts that others need and that are not installed, because something else does their work.

    Raises:
        UsageError: There is no such part, or it isn't locked.
    """
    current = read_lock(LOCK_FILE)
    needed = {part.name for part in chosen(names, PARTS)}
    for part in reversed(list(PARTS.values())):
        if part.name in needed:
            needed.update(name for name in part.requires if name not in without)
    return [(part, entry_of(part, current)) for part in PARTS.values() if part.name in needed]


def bundled(names: Iterable[str], *, without: Container[str] = ()) -> list[BundledPart]:
    """Return the named parts and all that they need, each after those that it needs.

    Args:
        names: Of the parts.
        without: Parts that others need and that are not installed, because something else does their work.

    Raises:
        UsageError: There is no such part, or it isn't locked or rendered.
    """
    return [BundledPart(part, entry, documents_of(entry)) for part, entry in locked(names, without=without)]
