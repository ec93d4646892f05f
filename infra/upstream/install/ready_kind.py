"""What `slipway:upstream:Ready` means: a stage of the installation that others wait for."""

import json
from collections.abc import Mapping, Sequence

from infra.upstream import object_store
from infra.upstream.install.connected import CONNECTION, ConnectedInputs
from infra.upstream.install.probes import Reference, wait_ready
from slipway.core.report import Report
from slipway.provider.kinds import Change, Made, Properties, model_faults


class ReadyInputs(ConnectedInputs):
    """The program's inputs."""

    stage: str
    content: str
    """A digest over all objects of the stage: another one makes the next `up` look again."""

    objects: tuple[Reference, ...] = ()
    samples: tuple[str, ...] = ()
    """Digests of objects whose creation is tried without effect."""

    refused: Mapping[str, str] | None = None
    """Digests of objects that a webhook must refuse, by words of its refusal."""

    seconds: float
    """Time limit."""


class ReadyKind:
    """Exists once everything in its stage answers; holds nothing in the cluster."""

    def faults(self, inputs: Properties) -> Sequence[tuple[str, str]]:
        """See Kind."""
        return model_faults(ReadyInputs, inputs)

    def planned(self, inputs: Properties) -> Properties:
        """See Kind."""
        return dict(inputs)

    def changes(self, old: Properties, new: Properties) -> Sequence[Change]:
        """See Kind: another time limit alone is no reason to look again."""
        looked_at = ("stage", "content", "objects", "samples", "refused", *CONNECTION)
        return [Change(path) for path in looked_at if old.get(path) != new.get(path)]

    def find(self, identity: str, inputs: Properties) -> Made | None:
        """See Kind: what it proved is not proved again."""
        known = ReadyInputs.model_validate(inputs)
        return known.made(known.stage)

    def make(self, inputs: Properties, before: Properties | None, report: Report) -> Made:
        """See Kind."""
        wanted = ReadyInputs.model_validate(inputs)
        samples = [json.loads(object_store.get(each)) for each in wanted.samples]
        refused = {
            words: json.loads(object_store.get(each)) for words, each in (wanted.refused or {}).items()
        }
        with wanted.opened() as api:
            wait_ready(api, wanted.objects, samples, refused=refused, seconds=wanted.seconds, report=report)
        return wanted.made(wanted.stage)

    def remove(self, outputs: Properties, report: Report) -> None:
        """See Kind: there is nothing to delete."""

    def remnant(self, inputs: Properties) -> Made | None:
        """See Kind: nothing is left."""
        return None
