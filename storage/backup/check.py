"""Whether a snapshot is what it says: blobs read back, versions and aliases held against their records."""

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
    """Something in a snapshot that can't be restored."""

    what: str
    why: str


def check(place: BackupPlace, index: Index, report: Report = silent) -> list[Fault]:
    """Read everything that the snapshot needs; return what is wrong with it.

    Raises:
        FailedError: The backups' store failed, which says nothing about the snapshot.
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
            faults += _closed(place, f"{tenant}/{model}", copy, broken)
    return faults


def manifest_of(place: BackupPlace, copy: ModelCopy, digest: str) -> bytes:
    """Return a version's manifest, once its files in the snapshot are those that its digest is made of.

    Raises:
        FailedError: They aren't, or the manifest can't be read back.
    """
    content = place.read(copy.manifests[digest])
    try:
        named = _FILES.validate_python(json.loads(content)["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise FailedError(f"The manifest of version {digest[:12]} is no manifest.") from error
    held = {path: (each.sha256, each.size) for path, each in copy.files.get(digest, {}).items()}
    if digest_of(named) != digest or {file.path: (file.sha256, file.size) for file in named} != held:
        raise FailedError(
            f"Version {digest[:12]} of the snapshot has other files than its digest is made of."
        )
    return content


def record_of(place: BackupPlace, held: ModelObject, kind: type[Record]) -> Record:
    """Return an alias or a log entry of a snapshot.

    Raises:
        FailedError: It can't be read back, is none, or was made for another place.
    """
    try:
        record = kind.model_validate_json(place.read(held))
    except ValidationError as error:
        raise FailedError(f"{held.full_key} of the snapshot is not a valid record.") from error
    require_bound(record, held)
    return record


def require_bound(record: Alias | HistoryEntry, held: ModelObject) -> None:
    """Refuse a record that was made for another place than the one it is kept for.

    Raises:
        FailedError: It names another tenant, model, alias or number.
    """
    name = record.alias if isinstance(record, Alias) else str(record.number)
    if (record.tenant, record.model, name) != (held.tenant, held.place.model, held.place.name):
        raise FailedError(
            f"{held.full_key} was made for another place.",
            why=f"It names {record.tenant}/{record.model}, {name}.",
        )


def _fault(place: BackupPlace, blob: Blob) -> str:
    try:
        place.fetch(blob)
    except BlobError as error:
        return str(error)
    return ""


def _closed(place: BackupPlace, name: str, copy: ModelCopy, broken: set[str]) -> list[Fault]:
    """Check what the records of one model say; those that can't be read back are known already."""
    faults = []
    for digest in sorted({*copy.manifests, *copy.files}):
        if digest not in copy.manifests:
            faults.append(Fault(what=f"{name} {digest[:12]}", why="Its manifest is not in the snapshot."))
        elif copy.manifests[digest].full_key not in broken:
            faults += _said(f"{name} {digest[:12]}", partial(manifest_of, place, copy, digest))
    for entry in copy.history.values():
        if entry.full_key not in broken:
            faults += _said(f"{name} {entry.key}", partial(record_of, place, entry, HistoryEntry))
    for alias, held in copy.aliases.items():
        if held.full_key not in broken:
            faults += _said(f"{name}@{alias}", partial(_supported, place, held, copy))
    return faults


def _supported(place: BackupPlace, held: ModelObject, copy: ModelCopy) -> None:
    record = record_of(place, held, Alias)
    if record.digest not in copy.manifests:
        raise FailedError(f"Its version {record.digest[:12]} is not in the snapshot.")
    if record.history not in copy.history:
        raise FailedError(f"Its log entry {record.history} is not in the snapshot.")


def _said(what: str, work: Callable[[], object]) -> list[Fault]:
    try:
        work()
    except SlipwayError as error:
        if is_store_failure(error):
            raise
        return [Fault(what=what, why=str(error))]
    return []
