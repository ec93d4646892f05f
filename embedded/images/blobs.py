"""The cache of built layers: blobs by content, and an index from a layer's inputs to its blob.

    <cache>/images/blobs/sha256/<digest>    a layer, an uncompressed tar
    <cache>/images/layers/<key>.json        the blob of the layer with these inputs

A layer is written to a temporary file and renamed when it is complete, so an interrupted build leaves no
incomplete layer.
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
    """A content-addressed blob."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str
    """`sha256:` and 64 hexadecimal digits."""
    size: int


def blob_of(data: bytes) -> Blob:
    """Return the blob of `data`."""
    return Blob(digest=f"sha256:{hashlib.sha256(data).hexdigest()}", size=len(data))


class BlobStore:
    """Blobs in a folder, indexed by the keys of their layers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._blobs = root / "blobs" / "sha256"
        self._index = root / "layers"

    def path(self, blob: Blob) -> Path:
        """Return the file of `blob`."""
        return self._blobs / blob.digest.removeprefix("sha256:")

    def find(self, key: str) -> Blob | None:
        """Return the blob of the layer `key`, or None if it has to be built."""
        try:
            blob = Blob.model_validate_json((self._index / f"{key}.json").read_bytes())
            return blob if self.path(blob).stat().st_size == blob.size else None
        except (FileNotFoundError, ValidationError):
            return None

    def make(self, key: str, write: Callable[[BinaryIO, Path], None]) -> Blob:
        """Return the blob of the layer `key`, built by `write` if it is not cached.

        `write` receives the output file and an empty working folder.
        """
        if blob := self.find(key):
            return blob
        with locked(self.root / "locks" / key):
            return self.find(key) or self._make(key, write)

    def _make(self, key: str, write: Callable[[BinaryIO, Path], None]) -> Blob:
        for folder in (self._blobs, self._index):
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="layer-", dir=self.root) as temporary:
            work = Path(temporary, "work")
            work.mkdir()
            layer = Path(temporary, "layer.tar")
            with layer.open("wb") as out:
                write(out, work)
            atomic_files.sync(layer)
            with layer.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            blob = Blob(digest=f"sha256:{digest}", size=layer.stat().st_size)
            layer.rename(self.path(blob))
            atomic_files.replace(self._index / f"{key}.json", blob.model_dump_json())
        return blob
