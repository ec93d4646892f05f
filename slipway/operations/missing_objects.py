"""Finds objects that are in a stack's state but not in its cluster, because they were deleted by hand."""

from pydantic import BaseModel, ConfigDict

from infra.stack.declared import declared_objects
from infra.stack.stack import Stack
from slipway.core.errors import SlipwayError

SHOWN = 5
"""Number of objects named in the summary; JSON output has all."""


class MissingObjects(BaseModel):
    """The objects that are missing."""

    model_config = ConfigDict(frozen=True)

    checked: int | None
    """Number of objects that were looked for; None if the cluster can't be asked."""

    objects: tuple[str, ...] = ()
    """Kind, namespace and name of each."""

    unknown: str = ""
    """Why the cluster can't be asked."""

    @property
    def summary(self) -> str:
        """Return it in one line."""
        if self.checked is None:
            return f"not checked: {self.unknown}"
        if not self.objects:
            return f"all {self.checked} are there"
        more = f" and {len(self.objects) - SHOWN} more" if len(self.objects) > SHOWN else ""
        return f"{len(self.objects)} of {self.checked} missing: {', '.join(self.objects[:SHOWN])}{more}"


def find(stack: Stack) -> MissingObjects:
    """Look for every object of a stack's state in its cluster, by name alone: contents are not compared."""
    declared = list(declared_objects(stack.export()))
    try:
        missing = stack.live().missing(declared)
    except SlipwayError as error:
        return MissingObjects(
            checked=None, unknown=" ".join(part for part in (error.what, error.why) if part)
        )
    return MissingObjects(checked=len(declared), objects=tuple(str(each) for each in missing))
