"""Schedule the tasks of a run.

The tasks of a DAG are coroutines that wait for their dependencies; steps also wait for one of a limited
number of slots. A task is SKIPPED if a dependency failed or was skipped. A DAG is FAILED if any of its tasks
failed, even if an exit handler or a task with `ignore_upstream_failure` ran afterwards.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded.kfp import ir, values, wiring
from embedded.kfp.condition_syntax import ConditionError
from embedded.kfp.database import Database, new_id, now
from embedded.kfp.launcher import Launcher, TaskPaths
from embedded.kfp.objects import ArtifactStoreError
from embedded.kfp.outcome import FAILED, SKIPPED, SUCCEEDED, Scope, TaskError, TaskResult, Values


@dataclass(frozen=True, slots=True)
class RunContext:
    """The data that all tasks of a run share."""

    run_id: str
    pipeline: ir.Pipeline
    root_uri: str
    data: Path
    work: Path
    created_at: str

    def paths(self, node: "_Node") -> TaskPaths:
        """The URI, folder and log of a task."""
        return TaskPaths(
            uri=f"{self.root_uri}/{self.pipeline.name}/{self.run_id}/{node.path}",
            folder=self.work / self.run_id / node.id,
            log=log_path(self.data, self.run_id, node.id),
        )

    def facts(self, node: "_Node") -> dict[str, str]:
        """Values of the placeholders that name the run and the task."""
        return {
            "pipeline_job_name": f"{self.pipeline.name}-{self.run_id[:8]}",
            "pipeline_job_resource_name": self.run_id,
            "pipeline_job_uuid": self.run_id,
            "pipeline_task_name": node.task.name,
            "pipeline_task_uuid": node.id,
            "pipeline_root": self.root_uri,
            "pipeline_job_create_time_utc": self.created_at,
            "pipeline_job_schedule_time_utc": self.created_at,
        }


@dataclass(frozen=True, slots=True)
class _Node:
    """One execution of a task in a run; a task in a loop has one per iteration."""

    id: str
    path: str
    task: ir.Task
    component: ir.Component


def log_path(data: Path, run_id: str, task_id: str) -> Path:
    """The log file of a task."""
    return data / "logs" / run_id / f"{task_id}.log"


class RunScheduler:
    """Executes one run."""

    def __init__(
        self, context: RunContext, database: Database, launcher: Launcher, slots: asyncio.Semaphore
    ) -> None:
        self._context = context
        self._database = database
        self._launcher = launcher
        self._slots = slots

    async def run(self, parameters: Mapping[str, Any]) -> TaskResult:
        """Execute the run. Cancellation kills the running steps; the caller must update their rows."""
        return await self._dag(self._context.pipeline.root, Values(dict(parameters)), "", None)

    async def _dag(
        self, component: ir.Component, inputs: Values, path: str, parent_id: str | None
    ) -> TaskResult:
        dag = component.body
        assert isinstance(dag, ir.Dag)
        scope = Scope(wiring.with_defaults(component, inputs), path, parent_id)
        running: dict[str, asyncio.Task[TaskResult]] = {}
        async with asyncio.TaskGroup() as group:
            for task in dag.tasks:
                before = [running[name] for name in sorted(task.after)]
                running[task.name] = group.create_task(self._task(task, before, scope))
        failures = [
            f"{name}: {result.error}" for name, result in scope.results.items() if result.state == FAILED
        ]
        return TaskResult(FAILED if failures else SUCCEEDED, wiring.outputs(dag, scope), "; ".join(failures))

    async def _task(self, task: ir.Task, before: list[asyncio.Task[TaskResult]], scope: Scope) -> TaskResult:
        for other in before:
            await other
        path = f"{scope.path}/{task.name}" if scope.path else task.name
        node = _Node(new_id(), path, task, self._context.pipeline.components[task.component])
        self._database.insert("tasks", {
            "id": node.id, "run_id": self._context.run_id, "parent_id": scope.parent_id, "name": task.name,
            "path": path, "kind": "dag" if isinstance(node.component.body, ir.Dag) else "step",
            "state": "PENDING", "created_at": now(), "attempts": 0, "cached": 0,
        })  # fmt: skip
        result = await self._result(node, scope)
        self._database.update(
            "tasks", node.id, state=result.state, ended_at=now(), error=result.error or None,
            outputs=result.outputs.as_json(),
        )  # fmt: skip
        scope.results[task.name] = result
        return result

    async def _result(self, node: _Node, scope: Scope) -> TaskResult:
        unmet = [name for name in sorted(node.task.after) if scope.results[name].state != SUCCEEDED]
        if unmet and not node.task.always:
            return TaskResult(SKIPPED, error=f"not started: {unmet[0]} was {scope.results[unmet[0]].state}")
        try:
            inputs = wiring.inputs(node.task, node.component, scope, self._context.facts(node))
            if not wiring.condition_is_met(node.task, node.component, inputs):
                return TaskResult(SKIPPED)
            self._database.update("tasks", node.id, inputs=inputs.as_json())
            return await self._execute(node, inputs)
        except ConditionError as error:
            return TaskResult(FAILED, error=f"the condition can't be evaluated: {error}")
        except (TaskError, values.BadValueError) as error:
            return TaskResult(FAILED, error=str(error))

    async def _execute(self, node: _Node, inputs: Values) -> TaskResult:
        if not isinstance(node.component.body, ir.Dag):
            return TaskResult(SUCCEEDED, await self._leaf(node, inputs))
        self._database.update("tasks", node.id, state="RUNNING", started_at=now())
        if node.task.loop is not None:
            return await self._loop(node, node.task.loop, inputs)
        return await self._dag(node.component, inputs, node.path, node.id)

    async def _loop(self, node: _Node, loop: ir.Loop, inputs: Values) -> TaskResult:
        items = wiring.items(loop, inputs)
        limit = asyncio.Semaphore(loop.parallelism or max(1, len(items)))

        async def iteration(index: int, item: object) -> TaskResult:
            async with limit:
                item_inputs = wiring.with_item(node.component, loop, inputs, item)
                return await self._dag(node.component, item_inputs, f"{node.path}/{index}", node.id)

        async with asyncio.TaskGroup() as group:
            runs = [group.create_task(iteration(index, item)) for index, item in enumerate(items)]
        return wiring.loop_result(node.component, (run.result() for run in runs))

    async def _leaf(self, node: _Node, inputs: Values) -> Values:
        key = ""
        async with self._slots:
            self._database.update("tasks", node.id, state="RUNNING", started_at=now())
            if isinstance(node.component.body, ir.Importer):
                return await self._launcher.importer(node.component, node.component.body, inputs)
            if node.task.cached:
                key = wiring.cache_key(node.task, node.component, inputs, self._context.root_uri)
            if key and (hit := await self._cached(key)) is not None:
                self._database.update("tasks", node.id, cached=1)
                return hit
        outputs = await self._attempts(node, node.component.body, inputs)
        if key:
            self._database.cache_outputs(key, outputs.as_json(), self._context.run_id, node.path)
        return outputs

    async def _attempts(self, node: _Node, body: ir.Step | ir.Dag, inputs: Values) -> Values:
        assert isinstance(body, ir.Step)
        retry, paths = node.task.retry, self._context.paths(node)
        for attempt in range(retry.times + 1):
            self._database.update("tasks", node.id, attempts=attempt + 1)
            try:
                async with self._slots:
                    return await self._launcher.step(node.component, inputs, paths, attempt)
            except TaskError as error:
                if attempt == retry.times:
                    raise TaskError(f"{error} (attempt {attempt + 1})" if attempt else str(error)) from error
                await asyncio.sleep(retry.delay(attempt))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _cached(self, key: str) -> Values | None:
        """The outputs of an earlier step with the same key, if its artifacts still exist."""
        row = self._database.find("cache", key=key)
        if row is None:
            return None
        outputs = Values.from_json(row["outputs"])
        try:
            for artifact in outputs.artifacts.values():
                if not artifact.get("empty") and not await self._launcher.identity(artifact["uri"]):
                    return None
        except ArtifactStoreError:
            return None
        return outputs
