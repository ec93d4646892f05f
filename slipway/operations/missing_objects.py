"""What a stack's state holds and its cluster doesn't: objects that somebody deleted by hand."""

from pydantic import BaseModel, ConfigDict

from infra.stack.declared import declared_objects
from infra.stack.stack import Stack
from slipway.core.errors import SlipwayError

SHOWN = 5
"""How many are named to a person; a machine gets all."""


class MissingObjects(BaseModel):
    """The objects that are missing."""

    model_config = ConfigDict(frozen=True)

    checked: int | None
    """How many were looked for; None where the cluster doesn't say."""

    objects: tuple[str, ...] = ()
    """Kind, namespace and name of each."""

    unknown: str = ""
    """Why the cluster doesn't say."""

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
        gone = stack.live().missing(declared)
    except SlipwayError as error:
        return MissingObjects(
            checked=None, unknown=" ".join(part for part in (error.what, error.why) if part)
        )
    return MissingObjects(checked=len(declared), objects=tuple(str(each) for each in gone))
