"""Completes a backup: writes the stack's own files, and the index that makes it a snapshot."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from pydantic import SecretStr

from slipway.core.errors import FailedError
from storage.backup.index import Damage, Index, ModelObject, StackFile, checked_stack
from storage.backup.pending_deletions import require_present
from storage.backup.pool import Pool, spooled


@dataclass(frozen=True)
class Taken:
    """A completed snapshot."""

    id: str
    index: Index
    uploaded: int
    """Number of blobs that were not in the pool yet."""

    uploaded_bytes: int


def finish(
    pool: Pool,
    key: SecretStr,
    *,
    stack: str,
    versions: tuple[str, int],
    tenants: Iterable[str],
    objects: Iterable[ModelObject],
    damaged: Iterable[Damage],
    files: Mapping[str, bytes],
) -> Taken:
    """Store the stack's files and write the index, which completes the snapshot.

    Args:
        pool: The pool that already contains all other blobs.
        key: The stack's key, which signs the index.
        stack: Name of the stack.
        versions: Versions of Slipway and of its outputs contract.
        tenants: Tenants whose models were read, including those without models.
        objects: The stored objects of their models.
        damaged: Damage in the source.
        files: The stack's files by their names in the index.

    Raises:
        FailedError: The store failed, or a prune removed blobs meanwhile; there is no new snapshot.
    """
    stored = tuple(_stored_file(pool, name, content) for name, content in sorted(files.items()))
    faults = tuple(damaged)
    index = Index(
        stack=checked_stack(stack),
        slipway=versions[0],
        contract_version=versions[1],
        taken_at=datetime.now(UTC),
        complete=all(each.kept for each in faults),
        tenants=tuple(sorted(tenants)),
        objects=tuple(sorted(objects, key=lambda each: each.full_key)),
        files=stored,
        damaged=faults,
    )
    identity = pool.place.write(index, key)
    try:
        require_present(pool.place, index.blobs())
    except FailedError:
        pool.place.forget(stack, identity)
        raise
    return Taken(identity, index, pool.uploaded, pool.uploaded_bytes)


def _stored_file(pool: Pool, name: str, content: bytes) -> StackFile:
    with spooled() as body:
        body.write(content)
        blob = StackFile(name=name, size=len(content), sha256=sha256(content).hexdigest())
        pool.keep(body, blob)
    return blob
