"""The order of tasks: one run, from its parameters to the state of every task.

A DAG's tasks are coroutines that wait for those they depend on; steps wait for one of a bounded number of
slots. A task that can't run because one before it failed or was skipped is SKIPPED. A DAG in which any task
failed has failed, also when an exit handler or `ignore_upstream_failure` ran after it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded.kfp import ir, values, wiring
from embedded.kfp.condition import ConditionError
from embedded.kfp.database import Database, new_id, now
from embedded.kfp.launcher import Launcher, Place
from embedded.kfp.objects import StoreError
from embedded.kfp.outcome import FAILED, SKIPPED, SUCCEEDED, Ended, Scope, TaskError, Values


@dataclass(frozen=True, slots=True)
class RunContext:
    """What every task of a run shares."""

    run_id: str
    pipeline: ir.Pipeline
    root_uri: str
    data: Path
    work: Path
    created_at: str

    def place(self, node: "_Node") -> Place:
        """Where a task keeps its things."""
        return Place(
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
    """One occurrence of a task in a run: once per iteration where it is in a loop."""

    id: str
    path: str
    task: ir.Task
    component: ir.Component


def log_path(data: Path, run_id: str, task_id: str) -> Path:
    """The file that a task's output goes to."""
    return data / "logs" / run_id / f"{task_id}.log"


class RunScheduler:
    """Runs one pipeline once."""

    def __init__(
        self, context: RunContext, database: Database, launcher: Launcher, slots: asyncio.Semaphore
    ) -> None:
        self._context = context
        self._database = database
        self._launcher = launcher
        self._slots = slots

    async def run(self, parameters: Mapping[str, Any]) -> Ended:
        """Run to the end. Cancelling kills the steps that run and leaves their rows to the caller."""
        return await self._dag(self._context.pipeline.root, Values(dict(parameters)), "", None)

    async def _dag(self, component: ir.Component, given: Values, path: str, parent_id: str | None) -> Ended:
        dag = component.body
        assert isinstance(dag, ir.Dag)
        scope = Scope(wiring.with_defaults(component, given), path, parent_id)
        running: dict[str, asyncio.Task[Ended]] = {}
        async with asyncio.TaskGroup() as group:
            for task in dag.tasks:
                before = [running[name] for name in sorted(task.after)]
                running[task.name] = group.create_task(self._task(task, before, scope))
        failures = [f"{name}: {end.error}" for name, end in scope.ended.items() if end.state == FAILED]
        return Ended(FAILED if failures else SUCCEEDED, wiring.outputs(dag, scope), "; ".join(failures))

    async def _task(self, task: ir.Task, before: list[asyncio.Task[Ended]], scope: Scope) -> Ended:
        for other in before:
            await other
        path = f"{scope.path}/{task.name}" if scope.path else task.name
        node = _Node(new_id(), path, task, self._context.pipeline.components[task.component])
        self._database.insert("tasks", {
            "id": node.id, "run_id": self._context.run_id, "parent_id": scope.parent_id, "name": task.name,
            "path": path, "kind": "dag" if isinstance(node.component.body, ir.Dag) else "step",
            "state": "PENDING", "created_at": now(), "attempts": 0, "cached": 0,
        })  # fmt: skip
        ended = await self._outcome(node, scope)
        self._database.update(
            "tasks", node.id, state=ended.state, ended_at=now(), error=ended.error or None,
            outputs=ended.outputs.as_json(),
        )  # fmt: skip
        scope.ended[task.name] = ended
        return ended

    async def _outcome(self, node: _Node, scope: Scope) -> Ended:
        unmet = [name for name in sorted(node.task.after) if scope.ended[name].state != SUCCEEDED]
        if unmet and not node.task.always:
            return Ended(SKIPPED, error=f"not started: {unmet[0]} was {scope.ended[unmet[0]].state}")
        try:
            given = wiring.inputs(node.task, node.component, scope, self._context.facts(node))
            if not wiring.holds(node.task, node.component, given):
                return Ended(SKIPPED)
            self._database.update("tasks", node.id, inputs=given.as_json())
            return await self._execute(node, given)
        except ConditionError as error:
            return Ended(FAILED, error=f"the condition can't be evaluated: {error}")
        except (TaskError, values.BadValueError) as error:
            return Ended(FAILED, error=str(error))

    async def _execute(self, node: _Node, given: Values) -> Ended:
        if not isinstance(node.component.body, ir.Dag):
            return Ended(SUCCEEDED, await self._leaf(node, given))
        self._database.update("tasks", node.id, state="RUNNING", started_at=now())
        if node.task.loop is not None:
            return await self._loop(node, node.task.loop, given)
        return await self._dag(node.component, given, node.path, node.id)

    async def _loop(self, node: _Node, loop: ir.Loop, given: Values) -> Ended:
        items = wiring.items(loop, given)
        limit = asyncio.Semaphore(loop.parallelism or max(1, len(items)))

        async def iteration(index: int, item: object) -> Ended:
            async with limit:
                inputs = wiring.with_item(node.component, loop, given, item)
                return await self._dag(node.component, inputs, f"{node.path}/{index}", node.id)

        async with asyncio.TaskGroup() as group:
            runs = [group.create_task(iteration(index, item)) for index, item in enumerate(items)]
        return wiring.gathered(node.component, (run.result() for run in runs))

    async def _leaf(self, node: _Node, given: Values) -> Values:
        key = ""
        async with self._slots:
            self._database.update("tasks", node.id, state="RUNNING", started_at=now())
            if isinstance(node.component.body, ir.Importer):
                return await self._launcher.importer(node.component, node.component.body, given)
            if node.task.cached:
                key = wiring.cache_key(node.task, node.component, given, self._context.root_uri)
            if key and (hit := await self._cached(key)) is not None:
                self._database.update("tasks", node.id, cached=1)
                return hit
        outputs = await self._attempts(node, node.component.body, given)
        if key:
            self._database.remember(key, outputs.as_json(), self._context.run_id, node.path)
        return outputs

    async def _attempts(self, node: _Node, body: ir.Step | ir.Dag, given: Values) -> Values:
        assert isinstance(body, ir.Step)
        retry, place = node.task.retry, self._context.place(node)
        for attempt in range(retry.times + 1):
            self._database.update("tasks", node.id, attempts=attempt + 1)
            try:
                async with self._slots:
                    return await self._launcher.step(node.component, given, place, attempt)
            except TaskError as error:
                if attempt == retry.times:
                    raise TaskError(f"{error} (attempt {attempt + 1})" if attempt else str(error)) from error
                await asyncio.sleep(retry.delay(attempt))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _cached(self, key: str) -> Values | None:
        """Outputs of an earlier step with the same key, if its artifacts are still there."""
        found = self._database.find("cache", key=key)
        if found is None:
            return None
        outputs = Values.from_json(found["outputs"])
        try:
            for artifact in outputs.artifacts.values():
                if not artifact.get("empty") and not await self._launcher.identity(artifact["uri"]):
                    return None
        except StoreError:
            return None
        return outputs
