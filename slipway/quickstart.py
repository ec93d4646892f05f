"""The quickstart: one platform, two training jobs, and where the time went."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from infra.contract import PlatformOutputs
from infra.stack import Stack
from slipway import console, training
from storage.errors import UsageError
from storage.report import Report

T = TypeVar("T")
SLOWEST: int = 8
"""How many of the slowest resources the summary names."""


class Phase(BaseModel):
    """One step of the journey and how long it took."""

    model_config = ConfigDict(frozen=True)

    name: str
    seconds: float


class JourneySummary(BaseModel):
    """What the quickstart did."""

    model_config = ConfigDict(frozen=True)

    phases: tuple[Phase, ...]
    slowest: tuple[Phase, ...]
    """The resources that the platform waited for longest, slowest first; they overlap in time."""
    outputs: PlatformOutputs
    models: tuple[training.TrainedModel, ...]


class Journey:
    """A quickstart on its way; keeps the time of each phase."""

    def __init__(self, *, stack: str, data: Path | None, threshold: float) -> None:
        """Remember what to do; nothing is started."""
        self.stack = stack
        self.data = data
        self.threshold = threshold
        self._phases: list[Phase] = []
        self._slowest: tuple[Phase, ...] = ()

    def check(self) -> None:
        """Refuse what can be known to be wrong before anything is started."""
        self._own("").check()

    def time(self, name: str, work: Callable[[], T]) -> T:
        """Do the work and keep how long it took under `name`."""
        started = time.monotonic()
        try:
            return work()
        finally:
            self._phases.append(Phase(name=name, seconds=round(time.monotonic() - started, 2)))

    def platform(self, stack: Stack) -> PlatformOutputs:
        """Bring the platform up, keeping which resources took longest; return its outputs."""
        done = self.time("platform", stack.up)
        self._slowest = tuple(
            Phase(name=_short(timing.urn), seconds=round(timing.seconds, 2))
            for timing in done.timings
            if not timing.urn.endswith("pulumi:pulumi:Stack::slipway-" + stack.name)
        )[:SLOWEST]
        return stack.outputs()

    def run(self, outputs: PlatformOutputs) -> JourneySummary:
        """Train and promote the user's model (or the Wisconsin one) and iris on a platform that is up."""
        tenant = self._tenant(outputs)
        jobs = (
            self._own(tenant),
            training.Job(tenant=tenant, pipeline="iris", model="iris"),
        )
        models = tuple(self._one(outputs, job) for job in jobs)
        return JourneySummary(
            phases=tuple(self._phases), slowest=self._slowest, outputs=outputs, models=models
        )

    def _own(self, tenant: str) -> training.Job:
        return training.Job(
            tenant=tenant,
            pipeline="training",
            model=self._model_name(),
            data=self.data,
            threshold=self.threshold,
        )

    def _one(self, outputs: PlatformOutputs, job: training.Job) -> training.TrainedModel:
        result = self._shown(f"train {job.model}", lambda report: training.train(outputs, job, report))
        return self._shown(
            f"promote {job.model}", lambda report: training.promote(outputs, job, result, report)
        )

    def _shown(self, name: str, work: Callable[[Report], T]) -> T:
        with console.phase(name.capitalize()) as report:
            return self.time(name, lambda: work(report))

    def _model_name(self) -> str:
        if self.data is None:
            return "wisconsin"
        plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in self.data.stem.lower()).strip("-")
        named = plain if plain[:1].isalpha() else f"model-{plain}"
        return named[:40].rstrip("-")

    def _tenant(self, outputs: PlatformOutputs) -> str:
        if not outputs.tenants:
            raise UsageError(
                f"Stack {self.stack} has no tenant to train for.",
                fix="Add a file to tenants/ such as team-a.yaml, and run the command again.",
            )
        return "team-a" if "team-a" in outputs.tenants else min(outputs.tenants)


def _short(urn: str) -> str:
    """Kind and name of a resource, out of its URN `urn:pulumi:<stack>::<project>::<types>::<name>`."""
    *_, types, name = urn.split("::")
    return f"{types.rpartition(':')[2]} {name}"
