"""What is to be done about a model before anything is written: the snapshot held against the store."""

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
class Plan:
    """What is to be done about one model."""

    model: str
    copy: ModelCopy
    aliases: dict[str, Alias] = field(default_factory=dict)
    entries: dict[int, HistoryEntry] = field(default_factory=dict)
    held: dict[str, AliasSnapshot | None] = field(default_factory=dict)
    there: set[int] = field(default_factory=set)
    """Numbers of the store's log entries."""

    parted: int = 0
    """Number of the first log entry that is another in the store; 0 where none is."""

    unreadable: dict[str, str] = field(default_factory=dict)
    """Why an alias of the snapshot can't be restored, by its name."""

    @property
    def differing(self) -> dict[str, AliasSnapshot]:
        """Aliases that name another version in the store."""
        return {
            name: held
            for name, held in self.held.items()
            if held is not None and held.record.digest != self.aliases[name].digest
        }


def plan_of(place: BackupPlace, registry: Registry, model: str, copy: ModelCopy) -> Plan:
    """Compare a snapshot's copy of a model with what the store has of it.

    Raises:
        FailedError: A store failed, which says nothing about the copy.
    """
    plan = Plan(model, copy)
    ours = in_parallel(partial(_readable, place, HistoryEntry), copy.history.values())
    plan.entries = {each.number: each for each in ours if isinstance(each, HistoryEntry)}
    for name, held in copy.aliases.items():
        record = _readable(place, Alias, held)
        if isinstance(record, str):
            plan.unreadable[name] = record
        else:
            plan.aliases[name] = record
            plan.held[name] = registry.read_alias(model, name)
    for there in registry.history(model):
        plan.there.add(there.number)
        mine = plan.entries.get(there.number)
        if mine is not None and mine.token != there.token and not plan.parted:
            plan.parted = there.number
    return plan


def _readable(place: BackupPlace, kind: type[Record], held: ModelObject) -> Record | str:
    """A record of the snapshot, or why it can't be restored."""
    try:
        return record_of(place, held, kind)
    except SlipwayError as error:
        if is_store_failure(error):
            raise
        return str(error)
