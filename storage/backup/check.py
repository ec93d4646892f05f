"""Verifies a snapshot: reads its blobs back, and compares versions and aliases with their records."""

import json
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from slipway.core.errors import FailedError, SlipwayError
from slipway.core.parallel import in_parallel
from slipway.core.report import Report, silent
from storage.backup.index import Blob, Index, ModelCopy, ModelObject
from storage.backup.place import BackupPlace, BlobError
from storage.backup.pool import is_store_failure
from storage.registry.records import Alias, Entry, HistoryEntry
from storage.registry.version_files import File, digest_of

Record = TypeVar("Record", Alias, HistoryEntry)
_FILES: TypeAdapter[tuple[File, ...]] = TypeAdapter(tuple[File, ...])


class Fault(Entry):
    """A part of a snapshot that can't be restored."""

    what: str
    why: str


def check(place: BackupPlace, index: Index, report: Report = silent) -> list[Fault]:
    """Read every blob of the snapshot; return its faults.

    Raises:
        FailedError: The backup store failed; the snapshot's state is unknown.
    """
    blobs = [Blob(sha256=digest, size=size) for digest, size in index.blobs().items()]
    report(f"reading {len(blobs)} blobs, {sum(blob.size for blob in blobs) / 2**20:.1f} MiB")
    faults = [
        Fault(what=name, why=fault)
        for blob, fault in zip(blobs, in_parallel(lambda blob: _fault(place, blob), blobs), strict=True)
        if fault
        for name in index.names_of(blob.sha256)
    ]
    broken = {fault.what for fault in faults}
    for tenant in index.tenants:
        for model, copy in index.models(tenant).items():
            faults += _model_faults(place, f"{tenant}/{model}", copy, broken)
    return faults


def manifest_of(place: BackupPlace, copy: ModelCopy, digest: str) -> bytes:
    """Return a version's manifest after checking that the snapshot's files match the version's digest.

    Raises:
        FailedError: They don't match, or the manifest is unreadable.
    """
    content = place.read(copy.manifests[digest])
    try:
        listed = _FILES.validate_python(json.loads(content)["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise FailedError(f"The manifest of version {digest[:12]} is invalid.") from error
    stored = {path: (each.sha256, each.size) for path, each in copy.files.get(digest, {}).items()}
    if digest_of(listed) != digest or {file.path: (file.sha256, file.size) for file in listed} != stored:
        raise FailedError(f"The files of version {digest[:12]} in the snapshot do not match its digest.")
    return content


def record_of(place: BackupPlace, stored: ModelObject, kind: type[Record]) -> Record:
    """Return an alias or a log entry of a snapshot.

    Raises:
        FailedError: It is unreadable or invalid, or belongs elsewhere.
    """
    try:
        record = kind.model_validate_json(place.read(stored))
    except ValidationError as error:
        raise FailedError(f"{stored.full_key} of the snapshot is not a valid record.") from error
    require_bound(record, stored)
    return record


def require_bound(record: Alias | HistoryEntry, stored: ModelObject) -> None:
    """Check that a record belongs to the key under which it is stored.

    Raises:
        FailedError: It names another tenant, model, alias or number.
    """
    name = record.alias if isinstance(record, Alias) else str(record.number)
    if (record.tenant, record.model, name) != (stored.tenant, stored.place.model, stored.place.name):
        raise FailedError(
            f"{stored.full_key} contains a record of another key.",
            why=f"It names {record.tenant}/{record.model}, {name}.",
        )


def _fault(place: BackupPlace, blob: Blob) -> str:
    try:
        place.fetch(blob)
    except BlobError as error:
        return str(error)
    return ""


def _model_faults(place: BackupPlace, name: str, copy: ModelCopy, broken: set[str]) -> list[Fault]:
    """Check the records of one model, except unreadable ones, which are reported already."""
    faults = []
    for digest in sorted({*copy.manifests, *copy.files}):
        if digest not in copy.manifests:
            faults.append(Fault(what=f"{name} {digest[:12]}", why="Its manifest is not in the snapshot."))
        elif copy.manifests[digest].full_key not in broken:
            faults += _faults_of(f"{name} {digest[:12]}", partial(manifest_of, place, copy, digest))
    for entry in copy.history.values():
        if entry.full_key not in broken:
            faults += _faults_of(f"{name} {entry.key}", partial(record_of, place, entry, HistoryEntry))
    for alias, stored in copy.aliases.items():
        if stored.full_key not in broken:
            faults += _faults_of(f"{name}@{alias}", partial(_require_complete, place, stored, copy))
    return faults


def _require_complete(place: BackupPlace, stored: ModelObject, copy: ModelCopy) -> None:
    record = record_of(place, stored, Alias)
    if record.digest not in copy.manifests:
        raise FailedError(f"Its version {record.digest[:12]} is not in the snapshot.")
    if record.history not in copy.history:
        raise FailedError(f"Its log entry {record.history} is not in the snapshot.")


def _faults_of(what: str, work: Callable[[], object]) -> list[Fault]:
    try:
        work()
    except SlipwayError as error:
        if is_store_failure(error):
            raise
        return [Fault(what=what, why=str(error))]
    return []
