"""The blobs of a backup on their way: what is there already, and what has to be sent."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import IO, Final, TypeVar

from slipway.core.errors import SlipwayError, StoreError
from storage.backup.index import Blob
from storage.backup.pending_deletions import require_none
from storage.backup.place import BackupPlace, BlobError
from storage.causes import Cause

SPOOL_BYTES: Final = 4 << 20
"""What a file on its way takes of memory; more of it waits on disk."""

T = TypeVar("T")


@contextmanager
def spooled() -> Iterator[IO[bytes]]:
    """Yield a file for bytes on their way: they are passed on only once their digest is known."""
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES, prefix="slipway-backup-") as body:
        yield body


@dataclass
class Pool:
    """The blobs of a place, and what one backup added to them."""

    place: BackupPlace
    recheck: bool = False
    """Read blobs that are there already, and write those anew that were altered."""

    uploaded: int = 0
    uploaded_bytes: int = 0
    _there: dict[str, int] = field(default_factory=dict)
    _sound: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        """Ask what is there; the first thing that a backup does, so that a wrong address shows at once.

        Raises:
            FailedError: The store failed, or what is there is being pruned.
        """
        require_none(self.place)
        self._there = self.place.pooled()

    def keep(self, body: IO[bytes], blob: Blob) -> None:
        """Keep bytes whose digest is known, unless they are there."""
        there = self.has(blob)
        if not there:
            self.place.put(body, blob, replace=blob.sha256 in self._there)
        with self._lock:
            self._sound.add(blob.sha256)
            if not there:
                self._there[blob.sha256] = blob.size
                self.uploaded += 1
                self.uploaded_bytes += blob.size

    def has(self, blob: Blob) -> bool:
        """Whether the blob is there; with `recheck`, whether its bytes are its own too."""
        if self._there.get(blob.sha256) != blob.size:
            return False
        return not self.recheck or blob.sha256 in self._sound or self.is_sound(blob)

    def is_sound(self, blob: Blob) -> bool:
        """Whether the blob is there and its bytes are its own."""
        if blob.sha256 not in self._there:
            return False
        try:
            self.place.fetch(blob)
        except BlobError:
            return False
        with self._lock:
            self._sound.add(blob.sha256)
        return True


def is_store_failure(error: SlipwayError) -> bool:
    """Whether the store failed, and not what it holds."""
    held = (Cause.OBJECT_MISSING, Cause.DAMAGED, Cause.ALTERED)
    return isinstance(error, StoreError) and error.cause not in held


def unless_gone(work: Callable[[], T]) -> T | None:
    """Do the work; None where the object that it reads is not there."""
    try:
        return work()
    except StoreError as error:
        if error.cause != Cause.OBJECT_MISSING:
            raise
        return None
