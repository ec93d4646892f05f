"""Uploads the blobs of a backup, except those that the backup store already has."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import IO, Final, TypeVar

from slipway.core.errors import SlipwayError, StoreError
from storage.backup.index import Blob
from storage.backup.pending_deletions import require_no_prune
from storage.backup.place import BackupPlace, BlobError
from storage.causes import Cause

SPOOL_BYTES: Final = 4 << 20
"""Memory for a file in transit; larger files are spooled to disk."""

T = TypeVar("T")


@contextmanager
def spooled() -> Iterator[IO[bytes]]:
    """Yield a file for content in transit: it is uploaded only after its digest is known."""
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES, prefix="slipway-backup-") as body:
        yield body


@dataclass
class Pool:
    """The blobs of a backup location, and what one backup added to them."""

    place: BackupPlace
    recheck: bool = False
    """Whether to read existing blobs and overwrite altered ones."""

    uploaded: int = 0
    uploaded_bytes: int = 0
    _sizes: dict[str, int] = field(default_factory=dict)
    _intact: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        """List the existing blobs: the first step of a backup, so that a wrong address fails at once.

        Raises:
            FailedError: The store failed, or a prune is running.
        """
        require_no_prune(self.place)
        self._sizes = self.place.pooled()

    def keep(self, body: IO[bytes], blob: Blob) -> None:
        """Store content whose digest is known, unless the blob exists."""
        exists = self.has(blob)
        if not exists:
            self.place.put(body, blob, replace=blob.sha256 in self._sizes)
        with self._lock:
            self._intact.add(blob.sha256)
            if not exists:
                self._sizes[blob.sha256] = blob.size
                self.uploaded += 1
                self.uploaded_bytes += blob.size

    def has(self, blob: Blob) -> bool:
        """Whether the blob exists; with `recheck`, whether its content is intact too."""
        if self._sizes.get(blob.sha256) != blob.size:
            return False
        return not self.recheck or blob.sha256 in self._intact or self.is_intact(blob)

    def is_intact(self, blob: Blob) -> bool:
        """Whether the blob exists and its content is intact."""
        if blob.sha256 not in self._sizes:
            return False
        try:
            self.place.fetch(blob)
        except BlobError:
            return False
        with self._lock:
            self._intact.add(blob.sha256)
        return True


def is_store_failure(error: SlipwayError) -> bool:
    """Whether the store itself failed, as opposed to one object in it."""
    of_objects = (Cause.OBJECT_MISSING, Cause.DAMAGED, Cause.ALTERED)
    return isinstance(error, StoreError) and error.cause not in of_objects


def unless_gone(work: Callable[[], T]) -> T | None:
    """Return the result of `work`, or None if the object that it reads does not exist."""
    try:
        return work()
    except StoreError as error:
        if error.cause != Cause.OBJECT_MISSING:
            raise
        return None
