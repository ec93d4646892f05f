"""Which parts of the bundle a platform has."""

from typing import Final

from infra.upstream import bundle, own_certificates
from infra.upstream.bundle import BundledPart
from infra.upstream.lock import LockedPart
from infra.upstream.part import Part

NAMES: Final = ("kserve",)
WITHOUT: Final = (own_certificates.PART,)
"""Parts that these need and that are not installed: a Job of Slipway's issues the certificates."""

_DEFINITION: Final = "CustomResourceDefinition"


def locked() -> list[tuple[Part, LockedPart]]:
    """Return the parts with their entries in the lock, each after those that it needs.

    Raises:
        UsageError: One isn't locked.
    """
    return bundle.locked(NAMES, without=WITHOUT)


def bundled() -> list[BundledPart]:
    """Return the parts with their objects, each after those that it needs.

    Raises:
        UsageError: One isn't locked or rendered.
    """
    return bundle.bundled(NAMES, without=WITHOUT)


def definitions() -> list[str]:
    """Return the names of the CustomResourceDefinitions that the parts bring.

    Raises:
        UsageError: A part isn't locked.
    """
    return [each.name for _, entry in locked() for each in entry.objects if each.kind == _DEFINITION]
