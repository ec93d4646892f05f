"""The order of tasks: one run, from its parameters to the state of every task.

A DAG's tasks are coroutines that wait for those they depend on; steps wait for one of a bounded number of
slots. A task that can't run because one before it failed or was skipped is SKIPPED. A DAG in which any task
failed has failed, also when an exit handler or `ignore_upstream_failure` ran after it.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from embedded.kfp import ir, values
from embedded.kfp.condition import ConditionError
from embedded.kfp.database import Database, new_id, now
from embedded.kfp.launcher import Launcher, Place, TaskError, Values
from embedded.kfp.objects import StoreError

SUCCEEDED: Final = "SUCCEEDED"
FAILED: Final = "FAILED"
SKIPPED: Final = "SKIPPED"
_MAX_ITERATIONS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Ended:
    """How a task ended."""

    state: str
    outputs: Values = field(default_factory=Values)
    error: str = ""


@dataclass(frozen=True, slots=True)
class RunContext:
    """What every task of a run shares."""

    run_id: str
    pipeline: ir.Pipeline
    root_uri: str
    data: Path
    created_at: str

    def place(self, path: str, task_id: str) -> Place:
        """Where a task keeps its things."""
        return Place(
            uri=f"{self.root_uri}/{self.pipeline.name}/{self.run_id}/{path}",
            folder=self.data / "work" / self.run_id / task_id,
            log=log_path(self.data, self.run_id, task_id),
        )

    def facts(self, task: str, task_id: str) -> dict[str, str]:
        """Values of the placeholders that name the run and the task."""
        return {
            "pipeline_job_name": f"{self.pipeline.name}-{self.run_id[:8]}",
            "pipeline_job_resource_name": self.run_id,
            "pipeline_job_uuid": self.run_id,
            "pipeline_task_name": task,
            "pipeline_task_uuid": task_id,
            "pipeline_root": self.root_uri,
            "pipeline_job_create_time_utc": self.created_at,
            "pipeline_job_schedule_time_utc": self.created_at,
        }


@dataclass(frozen=True, slots=True)
class _Scope:
    """A DAG that is running: its inputs, its place among the tasks, how its tasks ended."""

    inputs: Values
    path: str
    parent_id: str | None
    ended: dict[str, Ended] = field(default_factory=dict)


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
        scope = _Scope(_with_defaults(component, given), path, parent_id)
        running: dict[str, asyncio.Task[Ended]] = {}
        async with asyncio.TaskGroup() as group:
            for task in dag.tasks:
                before = {name: running[name] for name in task.after}
                running[task.name] = group.create_task(self._node(task, before, scope))
        failures = [f"{name}: {end.error}" for name, end in scope.ended.items() if end.state == FAILED]
        if failures:
            return Ended(FAILED, _dag_outputs(dag, scope), "; ".join(failures))
        return Ended(SUCCEEDED, _dag_outputs(dag, scope))

    async def _node(self, task: ir.Task, before: Mapping[str, asyncio.Task[Ended]], scope: _Scope) -> Ended:
        for other in before.values():
            await other
        task_id = new_id()
        path = f"{scope.path}/{task.name}" if scope.path else task.name
        component = self._context.pipeline.components[task.component]
        kind = "dag" if isinstance(component.body, ir.Dag) else "step"
        self._database.insert("tasks", {
            "id": task_id, "run_id": self._context.run_id, "parent_id": scope.parent_id, "name": task.name,
            "path": path, "kind": kind, "state": "PENDING", "created_at": now(), "attempts": 0, "cached": 0,
        })  # fmt: skip
        ended = await self._outcome(
            task, component, task_id, path, scope, {n: t.result() for n, t in before.items()}
        )
        self._database.update(
            "tasks", task_id, state=ended.state, ended_at=now(), error=ended.error or None,
            outputs=ended.outputs.as_json(),
        )  # fmt: skip
        scope.ended[task.name] = ended
        return ended

    async def _outcome(
        self,
        task: ir.Task,
        component: ir.Component,
        task_id: str,
        path: str,
        scope: _Scope,
        before: Mapping[str, Ended],
    ) -> Ended:
        unmet = [name for name, end in before.items() if end.state != SUCCEEDED]
        if unmet and not task.always:
            return Ended(SKIPPED, error=f"not started: {unmet[0]} was {before[unmet[0]].state}")
        try:
            given = self._resolve(task, component, task_id, scope)
            if task.condition is not None and not task.condition.holds(given.parameters):
                return Ended(SKIPPED)
            self._database.update("tasks", task_id, inputs=given.as_json())
            if task.loop is not None:
                return await self._loop(task, task.loop, component, given, path, task_id)
            if isinstance(component.body, ir.Dag):
                self._database.update("tasks", task_id, state="RUNNING", started_at=now())
                return await self._dag(component, given, path, task_id)
            return Ended(SUCCEEDED, await self._leaf(task, component, given, path, task_id))
        except ConditionError as error:
            return Ended(FAILED, error=f"the condition can't be evaluated: {error}")
        except (TaskError, values.BadValueError) as error:
            return Ended(FAILED, error=str(error))

    def _resolve(self, task: ir.Task, component: ir.Component, task_id: str, scope: _Scope) -> Values:
        """Values of a task's inputs; raise TaskError where one that is needed has none."""
        raw: dict[str, Any] = {}
        for name, source in task.parameters.items():
            value = self._parameter(source, scope)
            raw[name] = (
                values.select(source.selector, value) if source.selector and value is not None else value
            )
        facts = self._context.facts(task.name, task_id)
        parameters: dict[str, Any] = {}
        for name, source in task.parameters.items():
            value = values.fill(raw[name], raw, facts) if source.kind == "constant" else raw[name]
            declared = component.parameters.get(name)
            if declared is None:  # inputs that only placeholders of other inputs read
                parameters[name] = value
            elif value is None and declared.optional:
                parameters[name] = declared.default
            elif value is None:
                raise TaskError(f"input {name!r} has no value: {_origin(source)}")
            else:
                try:
                    parameters[name] = values.coerce(declared.kind, value)
                except values.BadValueError as error:
                    raise TaskError(f"input {name!r}: {error}") from error
        return Values(parameters, self._artifacts(task, component, scope))

    def _artifacts(self, task: ir.Task, component: ir.Component, scope: _Scope) -> dict[str, Any]:
        artifacts: dict[str, Any] = {}
        for name, source in task.artifacts.items():
            found = scope.inputs if source.kind == "input" else scope.ended[source.task].outputs
            value = found.artifacts.get(source.name)
            slot = component.artifacts.get(name)
            if value is not None:
                artifacts[name] = value
            elif slot is not None and not slot.optional:
                raise TaskError(f"input artifact {name!r} has no value: {_origin(source)}")
        return artifacts

    def _parameter(self, source: ir.Source, scope: _Scope) -> object:
        match source.kind:
            case "constant":
                return source.value
            case "input":
                return scope.inputs.parameters.get(source.name)
            case "output":
                return scope.ended[source.task].outputs.parameters.get(source.name)
        end = scope.ended[source.task]
        return {
            "state": end.state,
            "pipelineJobResourceName": self._context.run_id,
            "pipelineTaskName": source.task,
            "error": {"code": 2, "message": end.error} if end.state == FAILED else {},
        }

    async def _loop(
        self, task: ir.Task, loop: ir.Loop, component: ir.Component, given: Values, path: str, task_id: str
    ) -> Ended:
        items = _items(loop, given)
        if len(items) > _MAX_ITERATIONS:
            raise TaskError(f"the loop has {len(items)} items; the limit is {_MAX_ITERATIONS}")
        self._database.update("tasks", task_id, state="RUNNING", started_at=now())
        limit = asyncio.Semaphore(loop.parallelism or max(1, len(items)))

        async def iteration(index: int, item: object) -> Ended:
            async with limit:
                return await self._dag(
                    component, _with_item(component, loop, given, item), f"{path}/{index}", task_id
                )

        async with asyncio.TaskGroup() as group:
            runs = [group.create_task(iteration(index, item)) for index, item in enumerate(items)]
        ended = [one.result() for one in runs]
        outputs = Values(
            {
                name: [end.outputs.parameters.get(name) for end in ended]
                for name in component.output_parameters
            },
            {
                name: _flat(end.outputs.artifacts.get(name) for end in ended)
                for name in component.output_artifacts
            },
        )
        failures = [f"item {index}: {end.error}" for index, end in enumerate(ended) if end.state == FAILED]
        return Ended(FAILED if failures else SUCCEEDED, outputs, "; ".join(failures))

    async def _leaf(
        self, task: ir.Task, component: ir.Component, given: Values, path: str, task_id: str
    ) -> Values:
        async with self._slots:
            self._database.update("tasks", task_id, state="RUNNING", started_at=now())
            if isinstance(component.body, ir.Importer):
                return await self._launcher.importer(component, component.body, given)
            key = await self._cache_key(task, component, given) if task.cached else ""
            if key and (hit := await self._cached(key)) is not None:
                self._database.update("tasks", task_id, cached=1)
                return hit
        outputs = await self._attempts(task, component, given, self._context.place(path, task_id), task_id)
        if key:
            self._database.remember(key, outputs.as_json(), self._context.run_id, path)
        return outputs

    async def _attempts(
        self, task: ir.Task, component: ir.Component, given: Values, place: Place, task_id: str
    ) -> Values:
        assert isinstance(component.body, ir.Step)
        for attempt in range(task.retry.times + 1):
            self._database.update("tasks", task_id, attempts=attempt + 1)
            try:
                async with self._slots:
                    return await self._launcher.step(component, component.body, given, place, attempt)
            except TaskError as error:
                if attempt == task.retry.times:
                    raise TaskError(f"{error} (attempt {attempt + 1})" if attempt else str(error)) from error
                await asyncio.sleep(task.retry.delay(attempt))
        raise AssertionError("unreachable")

    async def _cache_key(self, task: ir.Task, component: ir.Component, given: Values) -> str:
        """A digest of all that a step's result can depend on; empty if an input's content is unknown."""
        step = component.body
        assert isinstance(step, ir.Step)
        artifacts: dict[str, Any] = {}
        for name, value in given.artifacts.items():
            parts = []
            for one in value if isinstance(value, list) else [value]:
                content = one.get("digest") or one.get("identity")
                if not content and not one.get("empty"):
                    return ""
                parts.append([content, one["type"]["schemaTitle"], one["metadata"]])
            artifacts[name] = parts
        outputs = [sorted(component.output_parameters), sorted(component.output_artifacts)]
        subject = [step.source, step.function, step.image, dict(step.env), given.parameters, artifacts, outputs,
                   task.cache_key, self._context.root_uri]  # fmt: skip
        return hashlib.sha256(json.dumps(subject, sort_keys=True).encode()).hexdigest()

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


def _with_defaults(component: ir.Component, given: Values) -> Values:
    parameters = dict(given.parameters)
    for name, parameter in component.parameters.items():
        if parameters.get(name) is None:
            parameters[name] = parameter.default
    return Values(parameters, given.artifacts)


def _dag_outputs(dag: ir.Dag, scope: _Scope) -> Values:
    def chosen(selector: ir.Selector, kind: str) -> object:
        for task, output in selector.choices:
            end = scope.ended.get(task)
            if end is not None and end.state == SUCCEEDED:
                return getattr(end.outputs, kind).get(output)
        return None

    return Values(
        {name: chosen(selector, "parameters") for name, selector in dag.parameters.items()},
        {name: chosen(selector, "artifacts") for name, selector in dag.artifacts.items()},
    )


def _items(loop: ir.Loop, given: Values) -> list[Any]:
    if not loop.items_input:
        return list(loop.items)
    found = (given.artifacts if loop.over_artifacts else given.parameters).get(loop.items_input)
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError:
            found = None
    if not isinstance(found, list):
        raise TaskError(f"the items of the loop are not a list: {values.shown(found)}")
    return found


def _with_item(component: ir.Component, loop: ir.Loop, given: Values, item: object) -> Values:
    if loop.over_artifacts:
        return Values(given.parameters, {**given.artifacts, loop.item: item})
    declared = component.parameters.get(loop.item)
    value = values.coerce(declared.kind, item) if declared is not None and item is not None else item
    return Values({**given.parameters, loop.item: value}, given.artifacts)


def _flat(artifacts: Any) -> list[Any]:  # noqa: ANN401 - artifacts or lists of them
    """Artifacts of all iterations in one list, as the backend hands them to `Input[List[...]]`."""
    flat: list[Any] = []
    for one in artifacts:
        flat += one if isinstance(one, list) else [one] if one is not None else []
    return flat


def _origin(source: ir.Source) -> str:
    if source.kind == "output":
        return f"task {source.task!r} did not write {source.name!r}"
    return f"the pipeline's {source.name!r} was not given"
