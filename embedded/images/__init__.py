"""The images of the local cluster, built locally from locked inputs, without a registry.

reference(name)            the image's reference: its name and the digest of its inputs; builds nothing
ensure(name, containerd)   build the layers that are not cached, and import the image into containerd
publication(name)          the image in the form in which registries keep it, with its SBOM
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from embedded.images.blobs import Blob, BlobStore
from embedded.images.catalog import RECIPES, Recipe
from embedded.images.containerd import Containerd
from embedded.images.layer import Layer
from embedded.images.oci import ImageContent, assemble
from embedded.images.publication import Publication, publish
from embedded.toolchain import cache
from slipway.core.errors import FailedError, UsageError
from slipway.core.locks import locked
from slipway.core.report import Report, silent

__all__ = ["IMAGES", "Publication", "build", "ensure", "publication", "reference"]

IMAGES: Final = tuple(RECIPES)
"""Names of the images, for `reference` and `ensure`."""


def reference(name: str) -> str:
    """Return the image's reference, `slipway.local/<name>:<12 digits of the digest of its inputs>`.

    Builds nothing. Pods use it with `imagePullPolicy: IfNotPresent`.

    Raises:
        UsageError: The image is unknown.
    """
    return _reference(name, _recipe(name))


def ensure(name: str, containerd: Containerd, report: Report = silent) -> str:
    """Build the image and import it into a containerd, if necessary; return its reference.

    Safe to call from several threads and processes at once.

    Raises:
        UsageError: The image is unknown, or a required tool is missing on this machine.
        FailedError: A build, a download or the import failed; a rerun continues.
    """
    recipe = _recipe(name)
    image_reference = _reference(name, recipe)
    if containerd.has(image_reference):
        return image_reference
    image = _build(name, recipe, report)
    place = hashlib.sha256("\0".join(containerd.command).encode()).hexdigest()[:16]
    store = _store()
    # One at a time: two concurrent imports of the same layer would both send it, and one would fail.
    with locked(store.root / "locks" / f"import-{place}"):
        if not containerd.has(image_reference):
            size = containerd.add(image, store)
            report(f"imported image {name}, {size / 1e6:.1f} MB new")
    return image_reference


def build(name: str, report: Report = silent) -> ImageContent:
    """Build the image into the cache, without a cluster; cached layers are reused.

    Raises:
        UsageError: The image is unknown, or a required tool is missing on this machine.
        FailedError: A build or a download failed.
    """
    return _build(name, _recipe(name), report)


def publication(name: str, report: Report = silent) -> Publication:
    """Build the image into the cache in the form in which registries keep it.

    Raises:
        UsageError: The image is unknown, or a required tool is missing on this machine.
        FailedError: A build or a download failed.
    """
    recipe = _recipe(name)
    return publish(name, _tag(recipe), recipe, _layers(name, recipe, report), _store(), report)


def _recipe(name: str) -> Recipe:
    if name not in RECIPES:
        raise UsageError(f"Unknown image {name!r}.", fix=f"Use one of {', '.join(IMAGES)}.")
    return RECIPES[name]()


def _reference(name: str, recipe: Recipe) -> str:
    return f"slipway.local/{name}:{_tag(recipe)}"


def _tag(recipe: Recipe) -> str:
    return recipe.key()[:12]


def _build(name: str, recipe: Recipe, report: Report) -> ImageContent:
    return assemble(_reference(name, recipe), recipe.settings, _layers(name, recipe, report))


def _layers(name: str, recipe: Recipe, report: Report) -> list[Blob]:
    store = _store()
    return [store.make(key, _writer(name, layer, key, report)) for layer, key in recipe.keyed()]


def _writer(image: str, layer: Layer, key: str, report: Report) -> Callable[[BinaryIO, Path], None]:
    def write(out: BinaryIO, work: Path) -> None:
        report(f"building image {image}: {layer.name}")
        layer.write(out, work, report)
        if layer.key() != key:
            raise FailedError(
                f"Files of the image {image} changed while it was built.",
                why="Its reference is a digest of these files, so it would not match the content.",
                fix="Run the command again.",
            )

    return write


def _store() -> BlobStore:
    return BlobStore(cache.root() / "images")
