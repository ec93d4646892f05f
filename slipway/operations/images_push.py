"""Builds Slipway's own images and pushes them to a registry: only what is missing, by digest, with SBOM."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from embedded import images
from embedded.images import Publication, sbom
from infra.settings.models import ImageReferences
from oci import copying, uploads
from oci.copying import Target
from oci.references import Place, Reference
from slipway.core.errors import UsageError
from slipway.core.report import Phases
from slipway.operations.images_registry import Connection

_FIELDS = {field.replace("_", "-"): field for field in ImageReferences.model_fields}


class PushedImage(BaseModel):
    """An image in the registry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    reference: str
    """With the digest of its index."""

    uploaded: int
    """Bytes that were sent."""


class Push(BaseModel):
    """What a push did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: list[PushedImage]

    @property
    def settings(self) -> list[str]:
        """The lines of the settings that name these images."""
        named = [f"  {_FIELDS[each.name]}: {each.reference}" for each in self.images if each.name in _FIELDS]
        return ["images:", *named] if named else []

    @property
    def uploaded(self) -> int:
        """Bytes that were sent for all images."""
        return sum(each.uploaded for each in self.images)


def push(place: Place, connection: Connection, phases: Phases, *, only: Sequence[str] = ()) -> Push:
    """Build images and push them; the same source gives the same digests, and a second push sends nothing.

    Args:
        place: Registry and path below which the images are put.
        connection: How to connect.
        phases: Opens a phase for each image.
        only: Names of images; by default all that the settings of a stack name.

    Raises:
        UsageError: An image is unknown, or the registry refuses the login, the rights or its certificate
        isn't trusted.
        FailedError: A build or the registry failed; a rerun continues.
    """
    if unknown := sorted(set(only) - set(images.IMAGES)):
        raise UsageError(f"Unknown image {unknown[0]!r}.", fix=f"Use one of {', '.join(images.IMAGES)}.")
    pushed: list[PushedImage] = []
    names = list(dict.fromkeys(only or _FIELDS))
    with connection.open(place.registry, place.path) as registry:
        # Before minutes of building.
        uploads.check_access(registry, place.repository(names[0]))
        before: str | None = None
        for name in names:
            with phases(f"Image {name}") as report:
                built = images.publication(name, report)
                target = Target(registry, place.repository(name))
                sent = _push(target, built, before)
                report(f"{sent / 1e6:.1f} MB sent")
            reference = Reference(place.registry, target.repository, built.tag, built.index.digest)
            pushed.append(PushedImage(name=name, reference=str(reference), uploaded=sent))
            before = target.repository
    return Push(images=pushed)


def _push(target: Target, built: Publication, mount_from: str | None) -> int:
    sent = 0
    if target.has(built.index.digest) is None:
        # Images share layers: the registry takes them over from the image before.
        sent += copying.put_image(target, built.image, built.read, mount_from=mount_from)
    sent += copying.put_manifest(target, built.index, built.tag)
    return sent + copying.attach(target, built.index, sbom.MEDIA_TYPE, built.sbom, built.annotations)
