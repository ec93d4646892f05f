"""Copies images from their registries into another one, by digest; only what is missing."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from oci import copying, uploads
from oci.copying import Target
from oci.references import Place, Reference
from slipway.core.report import Phases
from slipway.operations.images_registry import Connection, Registries


class MirroredImage(BaseModel):
    """An image in the mirror."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    """As it was given."""

    reference: str
    """In the mirror, with its digest there: another one only if platforms were chosen."""

    uploaded: int
    """Bytes that were sent."""


def mirror(
    references: Sequence[Reference],
    place: Place,
    *,
    sources: Connection,
    target: Connection,
    phases: Phases,
    platforms: Sequence[str] = (),
    mirrored_at: Place | None = None,
) -> list[MirroredImage]:
    """Copy images to a place; the origin of each stays readable in its new path.

    Args:
        references: What to copy.
        place: Registry and path of the mirror.
        sources: How to connect to the registries of the references.
        target: How to connect to the mirror.
        phases: Opens a phase for each image.
        platforms: Only these variants, such as `linux/amd64`; all of them if empty.
        mirrored_at: Another mirror to read from, in place of the registries of the references.

    Raises:
        UsageError: An image is missing, or an account may not read or write.
        FailedError: A registry failed; a rerun continues.
    """
    copied = []
    with Registries(sources) as registries, target.open(place.registry, place.path) as registry:
        uploads.check_access(registry, place.of(references[0]).repository)
        for reference in references:
            source = mirrored_at.of(reference) if mirrored_at else reference
            with phases(str(reference)) as report:
                destination = Target(registry, place.of(reference).repository)
                done = copying.copy(registries.of(source), source, destination, platforms=platforms)
                report(f"{done.uploaded / 1e6:.1f} MB sent")
            copied.append(
                MirroredImage(source=str(reference), reference=str(done.reference), uploaded=done.uploaded)
            )
    return copied
