"""Starts a run as a tenant, and waits for it with progress."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from kfp import Client
from pydantic import BaseModel, ConfigDict

from infra.contract import PlatformOutputs
from pipelines.client import calling
from pipelines.upload import Uploaded
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report, silent
from slipway.core.waiting import poll, tolerating

POLL_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = 60.0
"""How long the API may be unavailable during a wait; a restart of its pod takes about 20 s."""
FINAL: Final = frozenset({"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED", "ERROR"})
"""Final states. The client's own wait ignores CANCELED and hangs (kfp 2.17.0)."""
_NOT_BEGUN: Final = frozenset({"PENDING", "RUNTIME_STATE_UNSPECIFIED"})
FILLED_IN: Final = ("pipeline_digest", "git_commit")

Value = str | int | float | bool


class TaskResult(BaseModel):
    """Result of one task of a run."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: str
    seconds: float | None
    error: str | None

    @property
    def cause(self) -> str:
        """The last line of the error, which in a traceback is the exception's message."""
        lines = [line.strip() for line in (self.error or "").splitlines() if line.strip()]
        return lines[-1].removeprefix("ValueError: ") if lines else "no reason given"


class RunResult(BaseModel):
    """Result of a run."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    pipeline: str
    state: str
    seconds: float | None
    tasks: tuple[TaskResult, ...]
    error: str | None

    @property
    def succeeded(self) -> bool:
        """Whether every required task succeeded; a run whose gate did not pass succeeds too."""
        return self.state == "SUCCEEDED"

    def require_success(self) -> None:
        """Raise FailedError, naming the failed task, unless the run succeeded."""
        if self.succeeded:
            return
        failed = [task for task in self.tasks if task.state == "FAILED"]
        failed_task = failed[0].name if failed else "TASK"
        reasons = [f"{task.name}: {task.cause}" for task in failed]
        raise FailedError(
            f"Run {self.run_id} of pipeline {self.pipeline} ended as {self.state}.",
            why="; ".join(reasons) or self.error or "",
            fix=f"Read its logs with `slipway pipeline logs {self.run_id} {failed_task}`.",
        )


def checked(parameters: Mapping[str, Value], declared: Mapping[str, Mapping[str, Any]]) -> dict[str, Value]:
    """Check the parameters against the pipeline's declaration; UsageError names invalid ones."""
    if unknown := sorted(set(parameters) - set(declared)):
        raise UsageError(
            f"The pipeline has no parameter {', '.join(unknown)}.",
            fix=f"It takes {', '.join(sorted(set(declared) - set(FILLED_IN)))}.",
        )
    required = {name for name, facts in declared.items() if "defaultValue" not in facts}
    if missing := sorted(required - set(parameters)):
        raise UsageError(f"The pipeline needs a value for {', '.join(missing)}.")
    return {name: _fitting(name, value, declared[name]) for name, value in parameters.items()}


def _fitting(name: str, value: Value, facts: Mapping[str, Any]) -> Value:
    kind = facts.get("parameterType")
    fits = {
        "STRING": isinstance(value, str),
        "BOOLEAN": isinstance(value, bool),
        "NUMBER_INTEGER": isinstance(value, int) and not isinstance(value, bool),
        "NUMBER_DOUBLE": isinstance(value, (int, float)) and not isinstance(value, bool),
    }
    if not fits.get(str(kind), True):
        raise UsageError(f"Parameter {name} is {value!r}.", why=f"The pipeline requires a {kind}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"Parameter {name} is {value!r}.", why="It must be a finite number.")
    return value


def start(
    client: Client,
    outputs: PlatformOutputs,
    tenant: str,
    uploaded: Uploaded,
    parameters: Mapping[str, Value],
    *,
    name: str | None = None,
) -> str:
    """Start a run in the tenant's namespace, as its runner, writing under its pipeline root.

    Returns:
        The run's id.
    """
    tenant_outputs = outputs.tenant(tenant)
    values = checked(parameters, uploaded.parameters)
    filled_in = {"pipeline_digest": uploaded.digest, "git_commit": uploaded.git_commit}
    values |= {key: value for key, value in filled_in.items() if key in uploaded.parameters}
    with calling(f"start a run of {uploaded.pipeline}"):
        experiment = client.create_experiment(uploaded.pipeline, namespace=tenant_outputs.namespace)
        run = client.run_pipeline(
            experiment_id=experiment.experiment_id,
            job_name=name or f"{uploaded.pipeline}-{uploaded.version}",
            params=values,
            pipeline_id=uploaded.pipeline_id,
            version_id=uploaded.version_id,
            pipeline_root=tenant_outputs.pipeline_root,
            service_account=tenant_outputs.runner_service_account,
        )
    return str(run.run_id)


def wait(
    client: Client, run_id: str, *, pipeline: str = "", report: Report = silent, timeout: float = 1800
) -> RunResult:
    """Wait until the run ends, reporting each task as its state changes.

    Raises:
        FailedError: It did not end in time, or the API stopped answering. The run continues.
    """
    states: dict[str, str] = {}

    def look() -> RunResult:
        with calling(f"show run {run_id}"):
            result = _result(client.get_run(run_id), pipeline)
        for task in result.tasks:
            if states.get(task.name) != task.state and task.state not in _NOT_BEGUN:
                took = f" ({task.seconds:.1f} s)" if task.seconds is not None else ""
                report(f"{task.name}: {task.state.lower()}{took if task.state in FINAL else ''}")
                states[task.name] = task.state
        return result

    result = poll(
        tolerating(look, FailedError, seconds=PATIENCE_SECONDS),
        lambda seen: seen is not None and seen.state in FINAL,
        seconds=timeout,
        interval=POLL_SECONDS,
    )
    if result is None or result.state not in FINAL:
        state = result.state if result else "not shown by the API"
        raise FailedError(
            f"Run {run_id} did not end within {timeout:.0f} s.",
            why=f"It is {state}; tasks: {', '.join(f'{name} {state}' for name, state in states.items())}.",
            fix="The run continues; wait for it again, or terminate it.",
        )
    return result


def _result(run: Any, pipeline: str) -> RunResult:  # noqa: ANN401 - kfp has no types
    details = (run.run_details.task_details or []) if run.run_details else []
    tasks = [_task(detail) for detail in details if _is_step(detail.display_name or "")]
    return RunResult(
        run_id=str(run.run_id),
        pipeline=pipeline or str(run.display_name),
        state=str(run.state or "PENDING").upper(),
        seconds=_seconds(run.created_at, run.finished_at),
        tasks=tuple(tasks),
        error=str(run.error.message) if run.error and run.error.message else None,
    )


def _is_step(name: str) -> bool:
    """Return whether a task is a step: Kubeflow's backend also lists its DAG root and driver pods."""
    return bool(name) and name != "root" and not name.endswith("-driver")


def _task(detail: Any) -> TaskResult:  # noqa: ANN401 - kfp has no types
    return TaskResult(
        name=str(detail.display_name),
        state=str(detail.state or "PENDING").upper(),
        seconds=_seconds(detail.start_time or detail.create_time, detail.end_time),
        error=str(detail.error.message) if detail.error and detail.error.message else None,
    )


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    if begin is None or end is None:
        return None
    # Kubeflow returns the epoch for a time that is not set yet.
    seconds = (end - begin).total_seconds()
    return seconds if seconds >= 0 else None
