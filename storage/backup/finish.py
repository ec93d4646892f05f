"""The end of a backup: the stack's own files, and the index that makes it a snapshot."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from pydantic import SecretStr

from slipway.core.errors import FailedError
from storage.backup.index import Damage, Index, ModelObject, StackFile, checked_stack
from storage.backup.pending_deletions import require_kept
from storage.backup.pool import Pool, spooled


@dataclass(frozen=True)
class Taken:
    """A snapshot that was made."""

    id: str
    index: Index
    uploaded: int
    """Blobs that the pool lacked."""

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
    """Keep the stack's files and write the index: from here on the snapshot is one.

    Args:
        pool: where everything else is already.
        key: of the stack, to sign the index with.
        stack: whose snapshot it is.
        versions: of Slipway, and of its outputs contract.
        tenants: whose models were read, also those that have none.
        objects: what was kept of them.
        damaged: what could not be kept as it is.
        files: the stack's, by their names in the index.

    Raises:
        FailedError: The store failed, or a prune took blobs meanwhile; there is no new snapshot.
    """
    stored = tuple(_kept_file(pool, name, content) for name, content in sorted(files.items()))
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
        require_kept(pool.place, index.blobs())
    except FailedError:
        pool.place.forget(stack, identity)
        raise
    return Taken(identity, index, pool.uploaded, pool.uploaded_bytes)


def _kept_file(pool: Pool, name: str, content: bytes) -> StackFile:
    with spooled() as body:
        body.write(content)
        blob = StackFile(name=name, size=len(content), sha256=sha256(content).hexdigest())
        pool.keep(body, blob)
    return blob
