"""Resolves tags to digests in their registries, and finds tags that name another image than before."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from oci.references import Reference
from slipway.core.errors import FailedError, UsageError
from slipway.core.parallel import in_parallel
from slipway.operations.images_registry import Connection, Registries


class LockedImage(BaseModel):
    """An image and the digest that its tag has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    given: str
    locked: str
    """With tag and digest."""


def lock(references: Sequence[Reference], connection: Connection) -> list[LockedImage]:
    """Return the references with the digests that their registries have now.

    A reference with tag and digest is compared with its registry, one with a digest alone is looked for.

    Raises:
        UsageError: A registry does not have an image, or the account may not read it.
        FailedError: A registry failed, or tags name other images than the given digests; all of these are
        named.
    """
    with Registries(connection) as registries:
        found = in_parallel(lambda each: _resolve(registries, each), references)
    moved = [
        f"{reference} is now {digest}"
        for reference, digest in zip(references, found, strict=True)
        if reference.digest not in {None, digest}
    ]
    if moved:
        raise FailedError(
            f"{len(moved)} of {len(references)} tags name another image than before.",
            why=f"{'; '.join(moved)}.",
            fix="Find out why. To accept an image, remove its digest from the list and lock again.",
        )
    return [
        LockedImage(given=str(reference), locked=str(reference.at(digest)))
        for reference, digest in zip(references, found, strict=True)
    ]


def _resolve(registries: Registries, reference: Reference) -> str:
    # Without the digest, the registry is asked what the tag names.
    asked = Reference(
        reference.registry,
        reference.repository,
        reference.tag,
        digest=None if reference.tag else reference.digest,
    )
    digest = registries.of(reference).digest(asked)
    if digest is None:
        raise UsageError(
            f"There is no image {asked}.",
            why=f"The registry {reference.registry} does not know it.",
            fix="Correct the name, or log in: some registries hide images from other accounts.",
        )
    return digest
