"""The images that the local cluster runs, made on the spot from locked inputs without a registry.

reference(name)            which image that is: a name and the digest of its inputs; nothing is built
ensure(name, instance)     build what no cache holds and import what the cluster's containerd lacks
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from embedded.images.blobs import BlobStore
from embedded.images.catalog import RECIPES, Recipe
from embedded.images.containerd import Containerd, HasContainerd
from embedded.images.layer import Layer
from embedded.images.oci import ImageContent, assemble
from embedded.toolchain import cache
from slipway.core.errors import FailedError, UsageError
from slipway.core.locks import locked
from slipway.core.report import Report, silent

__all__ = ["IMAGES", "build", "ensure", "reference"]

IMAGES: Final = tuple(RECIPES)
"""Names that `reference` and `ensure` take."""


def reference(name: str) -> str:
    """Return the image's reference, `slipway.local/<name>:<12 digits of the digest of its inputs>`.

    Nothing is built. Pods name it with `imagePullPolicy: IfNotPresent`.

    Raises:
        UsageError: There is no such image.
    """
    return _reference(name, _recipe(name))


def ensure(name: str, instance: HasContainerd, report: Report = silent) -> str:
    """Have the image in the instance's containerd and return its reference.

    Does nothing if it is there. Safe to call from several threads and processes at once.

    Raises:
        UsageError: There is no such image, or the machine lacks what it is made with.
        FailedError: A build, a download or the import failed; a rerun continues.
    """
    recipe = _recipe(name)
    wanted = _reference(name, recipe)
    socket = instance.containerd_socket
    containerd = Containerd(socket)
    if containerd.has(wanted):
        return wanted
    image = _build(name, recipe, report)
    turn = hashlib.sha256(str(socket).encode()).hexdigest()[:16]
    store = _store()
    # One at a time: two imports that share a layer would both carry it, and one would fail.
    with locked(store.root / "locks" / f"import-{turn}"):
        if not containerd.has(wanted):
            sent = containerd.add(image, store)
            report(f"imported image {name}, {sent / 1e6:.1f} MB new")
    return wanted


def build(name: str, report: Report = silent) -> ImageContent:
    """Build the image into the cache, without a cluster; layers that the cache holds are kept.

    Raises:
        UsageError: There is no such image, or the machine lacks what it is made with.
        FailedError: A build or a download failed.
    """
    return _build(name, _recipe(name), report)


def _recipe(name: str) -> Recipe:
    if name not in RECIPES:
        raise UsageError(f"There is no image {name!r}.", fix=f"Images are {', '.join(IMAGES)}.")
    return RECIPES[name]()


def _reference(name: str, recipe: Recipe) -> str:
    return f"slipway.local/{name}:{recipe.key()[:12]}"


def _build(name: str, recipe: Recipe, report: Report) -> ImageContent:
    store = _store()
    layers = [store.make(key, _writer(name, layer, key, report)) for layer, key in recipe.keyed()]
    return assemble(_reference(name, recipe), recipe.settings, layers)


def _writer(image: str, layer: Layer, key: str, report: Report) -> Callable[[BinaryIO, Path], None]:
    def write(out: BinaryIO, work: Path) -> None:
        report(f"building image {image}: {layer.name}")
        layer.write(out, work, report)
        if layer.key() != key:
            raise FailedError(
                f"Files of the image {image} changed while it was made.",
                why="Its reference is the digest of these files, and it would name other content.",
                fix="Run the command again.",
            )

    return write


def _store() -> BlobStore:
    return BlobStore(cache.root() / "images")
