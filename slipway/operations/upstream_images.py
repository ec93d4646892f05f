"""The images of upstream's parts: where each is named, and its digest."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from infra.upstream import bundle, lock
from infra.upstream.lock import Lock, LockedImage
from oci.references import parse
from slipway.core import atomic_files
from slipway.core.errors import FailedError, UsageError
from slipway.operations import images_list, upstream


class ImageUse(BaseModel):
    """One image of the bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    digest: str
    """Empty while it is not known."""
    parts: list[str]
    places: list[str]


def images(names: Sequence[str] = ()) -> list[ImageUse]:
    """Return every image of the locked parts, in order of their names.

    Raises:
        UsageError: There is no such part, or it isn't locked.
    """
    current = upstream.read_lock()
    found: dict[str, ImageUse] = {}
    for entry in (bundle.entry_of(part, current) for part in upstream.chosen(names)):
        for image in entry.images:
            use = found.get(image.name) or ImageUse(name=image.name, digest=image.digest, parts=[], places=[])
            use.parts.append(entry.name)
            use.places.extend(image.places)
            found[image.name] = use
    return [found[name] for name in sorted(found)]


def take_digests(file: Path) -> int:
    """Write the digests in a list of references to upstream.lock; return how many are new.

    Args:
        file: References with tag and digest, as `slipway images lock` prints them.

    Raises:
        UsageError: The list can't be read, or a reference has no digest.
        FailedError: A reference has another digest than the lock; nothing is written.
    """
    digests = {}
    for reference in images_list.read((), file):
        if reference.digest is None:
            raise UsageError(f"{reference} has no digest.", fix="Make the list with `slipway images lock`.")
        digests[(reference.name, reference.tag)] = reference.digest
    current = upstream.read_lock()
    moved = [
        f"{image.name} is locked as {image.digest[:19]}"
        for part in current.part
        for image in part.images
        if image.digest and _wanted(image, digests) not in {"", image.digest}
    ]
    if moved:
        raise FailedError(
            f"{len(moved)} images have another digest in {file.name} than in {lock.FILE}.",
            why=f"{'; '.join(moved[:3])}.",
            fix=f"Find out why a tag names another image now. To accept it, empty its digest in {lock.FILE}.",
        )
    parts = [
        part.model_copy(
            update={
                "images": tuple(
                    image.model_copy(update={"digest": image.digest or _wanted(image, digests)})
                    for image in part.images
                )
            }
        )
        for part in current.part
    ]
    new = sum(
        one.digest != other.digest
        for before, after in zip(current.part, parts, strict=True)
        for one, other in zip(before.images, after.images, strict=True)
    )
    atomic_files.replace(upstream.LOCK_FILE, lock.dumps(Lock(part=tuple(parts))))
    return new


def _wanted(image: LockedImage, digests: dict[tuple[str, str | None], str]) -> str:
    reference = parse(image.name)
    return digests.get((reference.name, reference.tag), "")
