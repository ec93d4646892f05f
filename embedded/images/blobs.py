"""The cache of finished layers: blobs by content, and an index from what a layer is made of to its blob.

    <cache>/images/blobs/sha256/<digest>    a layer, an uncompressed tar
    <cache>/images/layers/<key>.json        which blob the layer with these inputs became

A layer is written to a temporary name and renamed when it is whole, so an interrupted build leaves
nothing that looks finished.
"""

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from slipway.core import atomic_files
from slipway.core.locks import locked

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
            atomic_files.sync(whole)
            with whole.open("rb") as done:
                digest = hashlib.file_digest(done, "sha256").hexdigest()
            blob = Blob(digest=f"sha256:{digest}", size=whole.stat().st_size)
            whole.rename(self.path(blob))
            atomic_files.replace(self._index / f"{key}.json", blob.model_dump_json())
        return blob
