"""What `slipway:kind:Image` means: an image that is built on this machine and loaded into the node.

Used where the settings name no registry. `kind load` does the same with a whole archive; here only the layers
that the node does not have are sent.
"""

from collections.abc import Callable, Sequence

from infra.cluster.kind import folder
from infra.cluster.kind.engine import Engine, find
from infra.cluster.kind.facts import ImageInputs
from slipway.core.errors import FailedError
from slipway.core.report import Report
from slipway.provider.kinds import Change, Made, Properties, model_faults

Load = Callable[[str, Sequence[str], Report], str]
"""Builds an image by its name and imports it by a command of containerd's client; returns its reference."""
Has = Callable[[str, Sequence[str]], bool]
"""Whether a containerd has an image, by its reference and a command of containerd's client."""


class ImageKind:
    """An image in the image store of the node."""

    def __init__(self, load: Load, has: Has) -> None:
        """Build and look by these functions."""
        self._load = load
        self._has = has

    def faults(self, inputs: Properties) -> Sequence[tuple[str, str]]:
        """See Kind."""
        return model_faults(ImageInputs, inputs)

    def planned(self, inputs: Properties) -> Properties:
        """See Kind."""
        return dict(inputs)

    def changes(self, old: Properties, new: Properties) -> Sequence[Change]:
        """See Kind: never a replacement, because pods of the old reference still run."""
        changes = [
            Change(path) for path in ("cluster", "name", "reference") if old.get(path) != new.get(path)
        ]
        if not changes and self._lost(ImageInputs.model_validate(new)):
            return [Change("reference", why="the node has lost the image; it will be loaded")]
        return changes

    def find(self, identity: str, inputs: Properties) -> Made | None:
        """See Kind."""
        known = ImageInputs.model_validate(inputs)
        return None if self._lost(known) else Made(identity, known.model_dump())

    def make(self, inputs: Properties, before: Properties | None, report: Report) -> Made:
        """See Kind."""
        wanted = ImageInputs.model_validate(inputs)
        for command in _commands(wanted.cluster):
            loaded = self._load(wanted.name, command, report)
            if loaded != wanted.reference:
                raise FailedError(
                    f"Image {wanted.name} came out as {loaded}.",
                    why=f"The program expects {wanted.reference}: the image's sources changed meanwhile.",
                    fix="Run the same command again.",
                )
        return Made(wanted.name, wanted.model_dump())

    def remove(self, outputs: Properties, report: Report) -> None:
        """See Kind: it stays in the node until the cluster is deleted, and takes nothing but room."""

    def remnant(self, inputs: Properties) -> Made | None:
        """See Kind: a failed build leaves nothing that a delete must remove."""
        return None

    def _lost(self, wanted: ImageInputs) -> bool:
        """Whether a running node does not have it; of a stopped one this is unknown."""
        return any(not self._has(wanted.reference, command) for command in _commands(wanted.cluster))


def _commands(cluster: str) -> list[list[str]]:
    """Return the command of containerd's client in each running node of the cluster."""
    record = folder.read_record(cluster)
    if record is None:
        return []
    engine: Engine = find(record.engine)
    return [engine.ctr(node.name) for node in engine.nodes(cluster) if node.running]
