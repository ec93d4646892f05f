"""The quickstart: one platform, two training jobs, and the time of each phase."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from infra.contract import PlatformOutputs
from infra.stack.stack import Stack
from slipway.core.errors import UsageError
from slipway.core.report import Phases, Report
from slipway.operations import builtin_models, training, workspace
from slipway.operations.training_job import Job
from tabular.summary import Summary

T = TypeVar("T")
SLOWEST: int = 8
"""Number of the slowest resources that the summary names."""


class Phase(BaseModel):
    """One step of the quickstart and its duration."""

    model_config = ConfigDict(frozen=True)

    name: str
    seconds: float


class QuickstartSummary(BaseModel):
    """What the quickstart did."""

    model_config = ConfigDict(frozen=True)

    phases: tuple[Phase, ...]
    slowest: tuple[Phase, ...]
    """The resources that the platform waited for longest, slowest first; they overlap in time."""
    outputs: PlatformOutputs
    models: tuple[training.TrainedModel, ...]
    left_out: tuple[str, ...] = ()
    """Built-in models that were not trained, and why."""

    @property
    def promoted(self) -> bool:
        """Whether every model that was trained is served."""
        return all(model.promoted for model in self.models)


class QuickstartRun:
    """A running quickstart; keeps the time of each phase."""

    def __init__(self, *, stack: str, own: Job, checked: Summary | None, phases: Phases) -> None:
        """Keep the arguments; nothing is started.

        Args:
            stack: Name of the stack.
            own: The user's job, for any tenant; `run` chooses the tenant.
            checked: What `own.check` returned.
            phases: Shows each phase and what happens in it.
        """
        self.stack = stack
        self.own = own
        self.checked = checked
        self._shown_phases = phases
        self._phases: list[Phase] = []
        self._slowest: tuple[Phase, ...] = ()

    def time(self, name: str, work: Callable[[], T]) -> T:
        """Do the work and keep its duration under `name`."""
        started = time.monotonic()
        try:
            return work()
        finally:
            self._phases.append(Phase(name=name, seconds=round(time.monotonic() - started, 2)))

    def platform(self, stack: Stack) -> PlatformOutputs:
        """Bring the platform up and keep its slowest resources; return its outputs."""
        summary = self.time("platform", stack.up)
        self._slowest = tuple(
            Phase(name=_short(timing.urn), seconds=round(timing.seconds, 2))
            for timing in summary.timings
            if not timing.urn.endswith("pulumi:pulumi:Stack::slipway-" + stack.name)
        )[:SLOWEST]
        return stack.outputs()

    def run(self, outputs: PlatformOutputs) -> QuickstartSummary:
        """Train and promote the user's model (or the Wisconsin one) and iris on a platform that is up.

        A built-in model is left out if a model of the user has its name.
        """
        tenant = self._tenant(outputs)
        own = replace(self.own, tenant=tenant)
        jobs = [own, Job(tenant=tenant, pipeline="iris", model="iris")]
        models, left_out = [], []
        for job in jobs:
            if job is not own and job.model == own.model:
                left_out.append(f"The built-in model {job.model} is left out: your model has its name.")
            elif job.data is None and builtin_models.is_taken(outputs, job):
                left_out.append(f"The built-in model {job.model} is left out: another model has its name.")
            else:
                models.append(self._one(outputs, job))
        return QuickstartSummary(
            phases=tuple(self._phases),
            slowest=self._slowest,
            outputs=outputs,
            models=tuple(models),
            left_out=tuple(left_out),
        )

    def _one(self, outputs: PlatformOutputs, job: Job) -> training.TrainedModel:
        checked = self.checked if job.data is not None else None
        if job.data is not None and builtin_models.is_served(outputs, job):
            # The user's model replaces a built-in model of the same name, whatever its columns are.
            job = replace(job, replace=True)
        result = self._shown(
            f"train {job.model}", lambda report: training.train(outputs, job, checked, report)
        )
        return self._shown(
            f"promote {job.model}", lambda report: training.promote(outputs, job, result, report)
        )

    def _shown(self, name: str, work: Callable[[Report], T]) -> T:
        with self._shown_phases(name.capitalize()) as report:
            return self.time(name, lambda: work(report))

    def _tenant(self, outputs: PlatformOutputs) -> str:
        if not outputs.tenants:
            raise UsageError(
                f"Stack {self.stack} has no tenant to train for.",
                fix="Add a file to tenants/ such as team-a.yaml, and run the command again.",
            )
        return "team-a" if "team-a" in outputs.tenants else min(outputs.tenants)


def run(stack: str, own: Job, checked: Summary | None, phases: Phases) -> QuickstartSummary:
    """Bring a platform up, then train, promote and query the user's model and iris.

    Args:
        stack: Name of the stack.
        own: The user's job, for any tenant.
        checked: What `own.check` returned.
        phases: Shows each phase and what happens in it.

    Raises:
        UsageError: A file has a mistake, or the stack has no tenant.
        FailedError: A step failed; a rerun continues.
    """
    quickstart = QuickstartRun(stack=stack, own=own, checked=checked, phases=phases)
    opened = quickstart.time("tools", lambda: workspace.ready(stack, phases))
    return quickstart.run(quickstart.platform(opened))


def _short(urn: str) -> str:
    """Kind and name of a resource, from its URN `urn:pulumi:<stack>::<project>::<types>::<name>`."""
    *_, types, name = urn.split("::")
    return f"{types.rpartition(':')[2]} {name}"
