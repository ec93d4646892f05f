"""What a stored version is needed for. Pure: facts in, reasons out.

A version without a reason to stay may be deleted. A caller that can't read a fact must not call this.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from storage.registry.records import HistoryEntry


@dataclass(frozen=True)
class Window:
    """How far back the log keeps versions."""

    entries: int = 10
    """Last entries of a model's log whose versions stay; at least one."""

    days: int = 90
    """Age of an entry, in days, up to which its version stays."""

    grace_days: int = 7
    """Age of files, in days, up to which they stay: they may be in use."""


@dataclass(frozen=True)
class Facts:
    """What refers to a model's versions at one moment."""

    aliases: Mapping[str, str]
    """Digest by alias."""

    history: Sequence[HistoryEntry]
    served: Mapping[str, str]
    """Digest by the InferenceService that serves it."""


def reasons(
    digest: str, written_at: datetime | None, facts: Facts, window: Window, now: datetime
) -> tuple[str, ...]:
    """Return why a version stays; empty where nothing needs it.

    `written_at` is when its newest file was written; None where no file of it is left.
    """
    uses = [f"alias {alias}" for alias, named in sorted(facts.aliases.items()) if named == digest]
    uses += [f"served by {name}" for name, named in sorted(facts.served.items()) if named == digest]
    last = facts.history[-max(1, window.entries) :]
    since = now - timedelta(days=max(window.days, window.grace_days))
    numbers = {entry.number for entry in last} | {
        entry.number for entry in facts.history if entry.at >= since
    }
    uses += [
        f"log entry {entry.number}"
        for entry in facts.history
        if entry.digest == digest and entry.number in numbers
    ]
    if written_at is not None and written_at > now - timedelta(days=window.grace_days):
        uses.append(f"younger than {window.grace_days} days")
    return tuple(uses)


def announced(digest: str, facts: Facts, since: Facts) -> tuple[str, ...]:
    """Return what needs the version in `facts` and did not when `since` was read; compares no times."""
    known = {entry.number for entry in since.history}
    return (
        *(f"alias {alias}" for alias, named in sorted(facts.aliases.items()) if named == digest),
        *(f"served by {name}" for name, named in sorted(facts.served.items()) if named == digest),
        *(
            f"log entry {entry.number}"
            for entry in facts.history
            if entry.digest == digest and entry.number not in known
        ),
    )
