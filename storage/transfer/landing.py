"""Where a download lands: beside its final name until all of it is there and is what it should be."""

import http.client
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from slipway.core.errors import StoreError
from storage.causes import Cause, explain
from storage.transfer.parts import CHUNK, encoded, on_disk
from storage.transfer.wire import StoppedError


class Landing:
    """A file that has its final name only when it is whole."""

    def __init__(self, path: Path) -> None:
        """Nothing is made yet."""
        self._final = path
        self.path = path.with_name(f"{path.name}.{os.getpid()}.part")
        self.descriptor = -1
        self._made = False

    def open(self) -> None:
        """Make an empty file beside the final name, and the folders above."""
        with on_disk("write", self._final):
            # Tried first and mended after: asking for each of many small files costs more than making them.
            try:
                self.descriptor = self._create()
            except FileNotFoundError:
                self._final.parent.mkdir(parents=True, exist_ok=True)
                self.descriptor = self._create()
            except FileExistsError:  # of a killed process that had our number
                self.path.unlink()
                self.descriptor = self._create()
            self._made = True

    def write(self, chunk: memoryview, offset: int) -> None:
        """Write all of a chunk at its place."""
        # No lock of ours: the kernel has one for each file, and ours on top of it cost a third of the rate.
        with on_disk("write", self._final):
            while chunk:
                written = os.pwrite(self.descriptor, chunk, offset)
                chunk = chunk[written:]
                offset += written

    def land(self) -> None:
        """Give the file its final name, in place of what stood there."""
        self._close()
        with on_disk("write", self._final):
            self.path.replace(self._final)
        self._made = False

    def abandon(self) -> None:
        """Remove the file, if it has not landed."""
        if self.descriptor >= 0:
            self._close()
        if self._made:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)

    def _create(self) -> int:
        return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)

    def _close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        os.close(descriptor)


def received(answer: http.client.HTTPResponse, size: int, stop: threading.Event) -> Iterator[memoryview]:
    """Read `size` bytes of an answer, each chunk into the place of the one before.

    Raises:
        IncompleteRead: The answer ended early.
        StoppedError: The transfer was given up meanwhile.
    """
    buffer = memoryview(bytearray(min(size, CHUNK)))
    left = size
    while left:
        if stop.is_set():
            raise StoppedError
        count = answer.readinto(buffer[: min(left, CHUNK)])
        if not count:
            raise http.client.IncompleteRead(b"", left)
        left -= count
        yield buffer[:count]
    # Past the last byte, so that the connection can be used again.
    answer.read()


def checked_sums(key: str, crc: int, told: str | None, sha256: str | None, expected: str | None) -> None:
    """Compare what came with the store's own checksum, if it keeps one, and with the caller's SHA-256.

    Raises:
        StoreError: They differ.
    """
    if told is not None and told != encoded(crc):
        raise altered(key, "It is not what the store's checksum says.")
    if expected is not None and sha256 != expected:
        raise altered(key, f"Its SHA-256 is not {expected}, as was expected.")


def altered(key: str, why: str) -> StoreError:
    """The error for an object that is not what it should be."""
    found = explain(Cause.ALTERED)
    return StoreError(f"Could not read {key}: {found.says}.", cause=Cause.ALTERED, why=why, fix=found.fix)
