"""The pieces that a transfer moves: stretches of files, with their checksums."""

import base64
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from awscrt import checksums

from slipway.core.errors import FailedError

CHUNK: Final = 1 << 20
"""Bytes that one worker holds at a time: with less, the workers wait for one another more than they copy."""

PART: Final = 16 << 20
"""Least bytes of a part of a large object; a smaller object goes in one request."""

MOST_SPAN: Final = 64 << 20
"""Most bytes that are read in one request: a store looks an object up anew for each."""

MOST_PARTS: Final = 10_000
"""S3's own limit."""


def part_size(size: int) -> int:
    """Return the bytes of each part but the last, in whole MiB, so that S3's limit on parts is kept."""
    return max(PART, -(-size // MOST_PARTS) + (1 << 20) - 1 >> 20 << 20)


def span_size(size: int, together: int) -> int:
    """Return the bytes of each read of a large object but the last: a quarter of it, within limits.

    Of many objects that are read together, `together` bytes in all, each is read in fewer pieces: the
    workers have enough to do, and every request costs the store more than its bytes.
    """
    return min(max(PART, -(-size // 4), together // 16), MOST_SPAN)


def encoded(crc: int) -> str:
    """Return a CRC-64/NVME as S3 writes it."""
    return base64.b64encode(crc.to_bytes(8, "big")).decode()


@contextmanager
def on_disk(doing: str, path: Path) -> Iterator[None]:
    """Tell this machine's errors from the store's, which are tried again."""
    try:
        yield
    except OSError as error:
        raise FailedError(f"Could not {doing} {path}.", why=f"{error.strerror}.") from error


def read_at(descriptor: int, size: int, offset: int, path: Path) -> bytes:
    """Read exactly `size` bytes of a file that nobody is supposed to change meanwhile."""
    with on_disk("read", path):
        chunk = os.pread(descriptor, size, offset)
    if len(chunk) != size:
        raise FailedError(f"Could not read {path}.", why="It became shorter while it was read.")
    return chunk


class Stretch:
    """`size` bytes of an open file from `start`: summed in one pass, sent in another.

    The second pass finds the bytes in the kernel's cache, and without TLS they never leave the kernel;
    whatever changed in between, the store sees by the checksum.
    """

    def __init__(self, descriptor: int, start: int, size: int, path: Path) -> None:
        self.size = size
        self._descriptor = descriptor
        self._start = start
        self._path = path
        self._held = read_at(descriptor, size, start, path) if size <= CHUNK else None

    def chunks(self) -> Iterator[bytes]:
        """Read it piece by piece."""
        if self._held is not None:
            yield self._held
            return
        for offset in range(0, self.size, CHUNK):
            size = min(CHUNK, self.size - offset)
            yield read_at(self._descriptor, size, self._start + offset, self._path)

    def crc(self) -> int:
        """Return its CRC-64/NVME."""
        crc = 0
        for chunk in self.chunks():
            crc = checksums.crc64nvme(chunk, crc)
        return crc

    def sha256(self) -> str:
        """Return its SHA-256 in hexadecimal."""
        hasher = hashlib.sha256()
        for chunk in self.chunks():
            hasher.update(chunk)
        return hasher.hexdigest()

    def send(self, sock: Any) -> None:  # noqa: ANN401 - a socket or a TLS socket
        """Write it to a socket."""
        if self._held is None and not hasattr(sock, "context"):
            self._send_by_kernel(sock)
            return
        for chunk in self.chunks():
            sock.sendall(chunk)

    def _send_by_kernel(self, sock: Any) -> None:  # noqa: ANN401
        with open(os.dup(self._descriptor), "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
            sent = sock.sendfile(file, self._start, self.size)
        if sent != self.size:
            raise FailedError(f"Could not read {self._path}.", why="It became shorter while it was read.")


class InOrder:
    """SHA-256 over a file whose parts get ready in any order.

    Whoever finishes the part that comes next hashes it, and what was ready behind it.
    """

    def __init__(self, stretch: Callable[[int], Stretch]) -> None:
        """Take the function that reads part `i`, counted from 0."""
        self._stretch = stretch
        self._hasher = hashlib.sha256()
        self._lock = threading.Lock()
        self._ready: set[int] = set()
        self._next = 0
        self._busy = False

    def finished(self, number: int) -> None:
        """Part `number` can be read now."""
        with self._lock:
            self._ready.add(number)
            if self._busy:
                return
            self._busy = True
        while True:
            with self._lock:
                if self._next not in self._ready:
                    self._busy = False
                    return
                self._ready.remove(self._next)
                stretch = self._stretch(self._next)
                self._next += 1
            for chunk in stretch.chunks():
                self._hasher.update(chunk)

    def hexdigest(self) -> str:
        """The hash; of the whole file once every part is finished and hashed."""
        return self._hasher.hexdigest()
