"""A writer of the registry in a process of its own, which imports it by name."""

from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

from support.candidates import lineage, staged_files

from storage.client import StoreAccess, open_store
from storage.registry.promotion_record import EarlierCandidate, EarlierRecord
from storage.registry.registry import ConflictError, Registry

MODEL = "iris"
PATIENCE_SECONDS = 240.0
"""Until the slowest of all processes has begun."""


@dataclass(frozen=True)
class Result:
    """What a writer learned; `conflict` is empty where it moved the alias."""

    writer: str
    version_by: str
    own: str
    entry: int
    conflict: str


def write(index: int, access: StoreAccess, folder: Path, together: Barrier, results: Any) -> None:
    """Publish what all publish and one more, log it, and point the alias at it, each with all at once."""
    writer = f"writer-{index}"
    registry = Registry(open_store(access), "models", "team-a", by=writer)
    made_from = lineage(run_id=f"run-{index}")
    same, own = (folder / writer / name for name in ("same", "own"))
    for place in (same, own):
        place.mkdir(parents=True)
    same_files = staged_files(same, {"model.pkl": b"what all publish"})
    own_files = staged_files(own, {"model.pkl": writer.encode()})
    together.wait(PATIENCE_SECONDS)
    shared = registry.publish(MODEL, same_files, made_from)
    mine = registry.publish(MODEL, own_files, made_from).digest
    together.wait(PATIENCE_SECONDS)
    details = EarlierRecord(candidate=EarlierCandidate(run_id=f"run-{index}"))
    entry = registry.append_history(MODEL, "promoted", mine, details).number
    held = registry.read_alias(MODEL, "champion")
    together.wait(PATIENCE_SECONDS)
    conflict = ""
    try:
        registry.move_alias(MODEL, "champion", mine, expected=held, history=entry)
    except ConflictError as error:
        conflict = str(error)
    results.put(Result(writer, shared.by, mine, entry, conflict))
