"""The cache of finished layers: blobs by content, and an index from what a layer is made of to its blob.

    <cache>/images/blobs/sha256/<digest>    a layer, an uncompressed tar
    <cache>/images/layers/<key>.json        which blob the layer with these inputs became

A layer is written to a temporary name and renamed when it is whole, so an interrupted build leaves
nothing that looks finished.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import BaseModel, ConfigDict, ValidationError

_CHUNK: Final = 1 << 20


class Blob(BaseModel):
    """Some bytes, named by their content."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str
    """`sha256:` and 64 hexadecimal digits."""
    size: int


def blob_of(data: bytes) -> Blob:
    """Name `data` by its content."""
    return Blob(digest=f"sha256:{hashlib.sha256(data).hexdigest()}", size=len(data))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; other threads and processes wait, and a killed holder lets go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class BlobStore:
    """Blobs under one folder, found by the key of the layer they hold."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._blobs = root / "blobs" / "sha256"
        self._index = root / "layers"

    def path(self, blob: Blob) -> Path:
        """Return the file that holds `blob`."""
        return self._blobs / blob.digest.removeprefix("sha256:")

    def find(self, key: str) -> Blob | None:
        """Return the blob of the layer `key`, or None if it has to be made."""
        try:
            blob = Blob.model_validate_json((self._index / f"{key}.json").read_bytes())
            return blob if self.path(blob).stat().st_size == blob.size else None
        except (FileNotFoundError, ValidationError):
            return None

    def make(self, key: str, write: Callable[[BinaryIO, Path], None]) -> Blob:
        """Return the blob of the layer `key`, made by `write` if nobody made it before.

        `write` gets the file to fill and an empty folder to work in.
        """
        if blob := self.find(key):
            return blob
        with locked(self.root / "locks" / key):
            return self.find(key) or self._make(key, write)

    def _make(self, key: str, write: Callable[[BinaryIO, Path], None]) -> Blob:
        for folder in (self._blobs, self._index):
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="layer-", dir=self.root) as scratch:
            work = Path(scratch, "work")
            work.mkdir()
            whole = Path(scratch, "layer.tar")
            with whole.open("wb") as out:
                write(out, work)
                out.flush()
                os.fsync(out.fileno())
            with whole.open("rb") as done:
                digest = hashlib.file_digest(done, "sha256").hexdigest()
            blob = Blob(digest=f"sha256:{digest}", size=whole.stat().st_size)
            whole.rename(self.path(blob))
            entry = Path(scratch, "entry.json")
            entry.write_text(blob.model_dump_json())
            entry.rename(self._index / f"{key}.json")
        return blob
