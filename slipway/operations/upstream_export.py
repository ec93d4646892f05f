"""Rendered parts as a folder that needs no cache, and no registry but a mirror."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from infra.upstream import bundle, lock, locking, object_store
from infra.upstream.lock import Lock, LockedImage, LockedPart
from infra.upstream.manifests import Document
from infra.upstream.part import Part
from oci import references
from oci.references import Place
from oci.rewriting import rewrite
from slipway.core import atomic_files


def export(parts: Sequence[tuple[Part, LockedPart]], folder: Path, *, mirror: Place | None = None) -> None:
    """Write the objects of the parts, and a lock of them.

    Args:
        parts: With what they were rendered to; their objects are in the cache.
        folder: A new one.
        mirror: Where every image is to come from, as `slipway images mirror --to` has put it there; None for
            the registries that upstream names.

    Raises:
        UsageError: An object is not in the cache.
    """
    written = [_write(part, entry, folder, mirror) for part, entry in parts]
    # Last: without it the folder is no bundle.
    atomic_files.replace(folder / lock.FILE, lock.dumps(Lock(part=tuple(written))))


def _write(part: Part, entry: LockedPart, folder: Path, mirror: Place | None) -> LockedPart:
    documents = bundle.documents_of(entry)
    if mirror is not None:
        documents, entry = _mirrored(part, documents, entry, mirror)
    for document in documents:
        content = object_store.canonical(document)
        target = object_store.place(folder, object_store.digest(content))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return entry


def _mirrored(
    part: Part, documents: Sequence[Document], entry: LockedPart, mirror: Place
) -> tuple[list[Document], LockedPart]:
    """Return the objects with every reference replaced, hidden ones too, and their entry."""
    names = {image.name: _in(mirror, image) for image in entry.images}
    changed = [rewrite(document, names) for document in documents]
    described = replace(part, images=tuple(names[name] for name in part.images))
    trees = {source.name: source.tree for source in entry.sources}
    return changed, locking.locked(described, changed, trees, None)


def _in(mirror: Place, image: LockedImage) -> str:
    """Return the image's reference in the mirror; by its digest where the lock has one."""
    found = mirror.of(references.parse(image.name))
    return str(replace(found, digest=image.digest or found.digest))
