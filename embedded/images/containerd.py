"""List and import images in containerd; only missing layers are sent."""

import io
import subprocess
import tarfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import IO, Final

from embedded.images.blobs import Blob, BlobStore, blob_of
from embedded.images.oci import ImageContent
from slipway.core.errors import FailedError

_NAMESPACE: Final = "k8s.io"
_PINNED: Final = "io.cri-containerd.pinned=pinned"
"""Label that excludes the image from garbage collection: it can't be pulled again."""


class Containerd:
    """A client of containerd that uses its command `ctr`."""

    def __init__(self, ctr: Sequence[str]) -> None:
        """Take the command that runs `ctr` with its standard input, here or in a container."""
        self.command = tuple(ctr)
        self._ctr = [*ctr, "--namespace", _NAMESPACE]

    @classmethod
    def at(cls, socket: Path) -> "Containerd":
        """Return the client of the containerd at a socket of this machine."""
        return cls(["ctr", "--address", str(socket)])

    def has(self, reference: str) -> bool:
        """Whether the image is imported and unpacked."""
        return reference in self._run("images", "list", "--quiet", f"name=={reference}").split()

    def add(self, image: ImageContent, store: BlobStore) -> int:
        """Import `image` and return the number of bytes that were sent.

        Layers in the content store are omitted from the archive. They could be garbage collected before the
        import, so a failed import is repeated once with all layers.
        """
        present = set(self._run("content", "list", "--quiet").split())
        try:
            size = self._import(image, store, present)
        except FailedError:
            if present.isdisjoint(layer.digest for layer in image.layers):
                raise
            size = self._import(image, store, frozenset())
        self._run("images", "label", image.reference, _PINNED)
        return size

    def remove(self, reference: str) -> None:
        """Remove the image if it exists."""
        if self.has(reference):
            self._run("images", "remove", "--sync", reference)

    def _import(self, image: ImageContent, store: BlobStore, present: Collection[str]) -> int:
        missing = [layer for layer in dict.fromkeys(image.layers) if layer.digest not in present]
        self._run("images", "import", "-", feed=lambda out: write_archive(out, image, store, missing))
        return sum(layer.size for layer in missing) + len(image.config) + len(image.manifest)

    def _run(self, *arguments: str, feed: Callable[[IO[bytes]], None] | None = None) -> str:
        command = [*self._ctr, *arguments]
        source = subprocess.PIPE if feed else subprocess.DEVNULL
        try:
            process = subprocess.Popen(
                command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except FileNotFoundError as error:
            raise FailedError(
                f"The command `{self._ctr[0]}` is missing on this machine.",
                why="It imports images into the cluster's containerd.",
                fix="Run `slipway doctor`; it installs what is missing.",
            ) from error
        with process:
            if feed and process.stdin:
                try:
                    feed(process.stdin)
                    process.stdin.close()
                except BrokenPipeError:
                    pass  # ctr ended; its output contains the reason
            output = process.stdout.read().decode(errors="replace") if process.stdout else ""
        if process.returncode:
            raise FailedError(
                f"`ctr {arguments[0]} {arguments[1]}` failed.",
                why=output.strip()[-500:],
                fix="Check that the cluster runs; its containerd must be running.",
            )
        return output


def write_archive(out: IO[bytes], image: ImageContent, store: BlobStore, layers: Collection[Blob]) -> None:
    """Write the image as an OCI archive that has only these of its layers."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:

        def add(name: str, size: int, content: IO[bytes]) -> None:
            info = tarfile.TarInfo(name)
            info.size = size
            archive.addfile(info, content)

        def add_bytes(name: str, content: bytes) -> None:
            add(name, len(content), io.BytesIO(content))

        add_bytes("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        for small in (image.config, image.manifest):
            add_bytes(_blob_name(blob_of(small)), small)
        for layer in layers:
            with store.path(layer).open("rb") as content:
                add(_blob_name(layer), layer.size, content)
        add_bytes("index.json", image.index())


def _blob_name(blob: Blob) -> str:
    return f"blobs/sha256/{blob.digest.removeprefix('sha256:')}"
