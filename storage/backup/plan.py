"""Plans the restore of a model: compares the snapshot with the store before anything is written."""

from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from slipway.core.errors import SlipwayError
from slipway.core.parallel import in_parallel
from storage.backup.check import record_of
from storage.backup.index import ModelCopy, ModelObject
from storage.backup.place import BackupPlace
from storage.backup.pool import is_store_failure
from storage.registry.records import Alias, AliasSnapshot, HistoryEntry
from storage.registry.registry import Registry

Record = TypeVar("Record", Alias, HistoryEntry)


@dataclass
class RestorePlan:
    """The restore plan of one model."""

    model: str
    copy: ModelCopy
    aliases: dict[str, Alias] = field(default_factory=dict)
    entries: dict[int, HistoryEntry] = field(default_factory=dict)
    current: dict[str, AliasSnapshot | None] = field(default_factory=dict)
    present: set[int] = field(default_factory=set)
    """Numbers of the log entries in the store."""

    diverged_at: int = 0
    """Number of the first log entry that differs in the store; 0 if none does."""

    unreadable: dict[str, str] = field(default_factory=dict)
    """Alias of the snapshot -> why it can't be restored."""

    @property
    def differing(self) -> dict[str, AliasSnapshot]:
        """Aliases that point to another version in the store."""
        return {
            name: current
            for name, current in self.current.items()
            if current is not None and current.record.digest != self.aliases[name].digest
        }


def plan_of(place: BackupPlace, registry: Registry, model: str, copy: ModelCopy) -> RestorePlan:
    """Compare a snapshot's copy of a model with the store.

    Raises:
        FailedError: A store failed; the state of the copy is unknown.
    """
    plan = RestorePlan(model, copy)
    entries = in_parallel(partial(_readable, place, HistoryEntry), copy.history.values())
    plan.entries = {each.number: each for each in entries if isinstance(each, HistoryEntry)}
    for name, stored in copy.aliases.items():
        record = _readable(place, Alias, stored)
        if isinstance(record, str):
            plan.unreadable[name] = record
        else:
            plan.aliases[name] = record
            plan.current[name] = registry.read_alias(model, name)
    for entry in registry.history(model):
        plan.present.add(entry.number)
        copied = plan.entries.get(entry.number)
        if copied is not None and copied.token != entry.token and not plan.diverged_at:
            plan.diverged_at = entry.number
    return plan


def _readable(place: BackupPlace, kind: type[Record], stored: ModelObject) -> Record | str:
    """Return a record of the snapshot, or why it can't be restored."""
    try:
        return record_of(place, stored, kind)
    except SlipwayError as error:
        if is_store_failure(error):
            raise
        return str(error)
