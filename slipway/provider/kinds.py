"""What a type of resource of the provider `slipway` must answer, in plain properties."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from slipway.core.report import Report

Properties = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One property that differs."""

    path: str
    why: str = ""
    """An explanation for the user, where the values don't show it."""

    replaces: bool = False
    of_input: bool = True


@dataclass(frozen=True)
class Made:
    """A resource as it is now."""

    id: str
    outputs: Properties
    secrets: frozenset[str] = frozenset()
    inputs: Properties | None = None
    """The inputs that match it, where it was changed by another writer; None: those of the last update."""


class Kind(Protocol):
    """What the provider needs from a type of resource."""

    def faults(self, inputs: Properties) -> Sequence[tuple[str, str]]:
        """Return (property, reason) of each invalid input."""

    def planned(self, inputs: Properties) -> Properties:
        """Return the outputs that are known before the resource is created."""

    def changes(self, old: Properties, new: Properties) -> Sequence[Change]:
        """Return the differences of inputs or of the outside that require an update."""

    def find(self, identity: str, inputs: Properties) -> Made | None:
        """Return the resource as it is now, or None if it no longer exists."""

    def make(self, inputs: Properties, before: Properties | None, report: Report) -> Made:
        """Create, or update what had the outputs `before`; both converge from any existing state."""

    def remove(self, outputs: Properties, report: Report) -> None:
        """Delete it; succeeds if there is nothing to delete."""

    def remnant(self, inputs: Properties) -> Made | None:
        """Return what a failed `make` has left and a later delete must remove."""


def model_faults(model: type[BaseModel], inputs: Properties) -> Sequence[tuple[str, str]]:
    """Return (property, reason) of each input that the model refuses."""
    try:
        model.model_validate(inputs)
    except ValidationError as error:
        return [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors()]
    return []
