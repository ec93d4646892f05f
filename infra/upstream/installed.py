"""Which parts of the bundle a platform has."""

from collections.abc import Iterable
from typing import Final

from infra.settings.models import PlatformSettings
from infra.upstream import bundle, own_certificates
from infra.upstream.bundle import BundledPart
from infra.upstream.lock import LockedPart
from infra.upstream.part import Part

SERVING: Final = ("kubeflow", "kserve")
TUNING: Final = ("katib",)
NAMES: Final = (*SERVING, *TUNING)
"""Every part that a platform may have."""

_DEFINITION: Final = "CustomResourceDefinition"


def names(settings: PlatformSettings) -> tuple[str, ...]:
    """Return the names of a platform's parts."""
    return (*SERVING, *(TUNING if settings.katib.enabled else ()))


def locked(chosen: Iterable[str]) -> list[tuple[Part, LockedPart]]:
    """Return some of the parts with their entries in the lock, each after those that it needs.

    Raises:
        UsageError: One isn't locked.
    """
    known = tuple(chosen)
    return bundle.locked(known, without=_elsewhere(known))


def bundled(chosen: Iterable[str]) -> list[BundledPart]:
    """Return some of the parts with their objects, each after those that it needs.

    Raises:
        UsageError: One isn't locked or rendered.
    """
    known = tuple(chosen)
    return bundle.bundled(known, without=_elsewhere(known))


def definitions(chosen: Iterable[str]) -> list[str]:
    """Return the names of the CustomResourceDefinitions that some of the parts bring.

    Raises:
        UsageError: A part isn't locked.
    """
    return [each.name for _, entry in locked(chosen) for each in entry.objects if each.kind == _DEFINITION]


def _elsewhere(chosen: Iterable[str]) -> frozenset[str]:
    """Return what the chosen parts need and that is not installed with them.

    A Job of Slipway's issues the certificates, and other parts of the platform are installed on their own.
    """
    return frozenset((own_certificates.PART, *NAMES)) - frozenset(chosen)
