"""Pass values between tasks: inputs from sources, outputs by selectors, items of loops. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from embedded.kfp import ir, values
from embedded.kfp.outcome import FAILED, SUCCEEDED, Scope, TaskError, TaskResult, Values

_MAX_ITERATIONS: Final = 10_000


def with_defaults(component: ir.Component, arguments: Values) -> Values:
    """Inputs of a DAG, with defaults for missing parameters."""
    parameters = dict(arguments.parameters)
    for name, parameter in component.parameters.items():
        if parameters.get(name) is None:
            parameters[name] = parameter.default
    return Values(parameters, arguments.artifacts)


def inputs(task: ir.Task, component: ir.Component, scope: Scope, facts: Mapping[str, str]) -> Values:
    """The inputs of a task; raise TaskError if a required input has no value."""
    raw: dict[str, Any] = {}
    for name, source in task.parameters.items():
        value = _parameter(source, scope, facts)
        if source.selector and value is not None:
            value = values.select(source.selector, value)
        raw[name] = value
    parameters: dict[str, Any] = {}
    for name, source in task.parameters.items():
        value = values.fill(raw[name], raw, facts) if source.kind == "constant" else raw[name]
        declared = component.parameters.get(name)
        if declared is None:  # used only by placeholders in other inputs
            parameters[name] = value
        elif value is not None:
            # The compiler declares the items of an untyped list as STRING. A group of tasks passes them on
            # unchanged; the step that uses an item declares its real type.
            passed_on = declared.kind == "STRING" and isinstance(component.body, ir.Dag)
            parameters[name] = value if passed_on else _typed(name, declared, value)
        elif declared.optional:
            parameters[name] = declared.default
        else:
            raise TaskError(f"input {name!r} has no value: {_origin(source)}")
    for name, declared in component.parameters.items():
        parameters.setdefault(name, declared.default)
    return Values(parameters, _artifacts(task, component, scope))


def condition_is_met(task: ir.Task, component: ir.Component, arguments: Values) -> bool:
    """Whether a task has no condition or a true one; raise ConditionError if it can't be evaluated."""
    if task.condition is None:
        return True
    typed = {
        name: _typed(name, component.parameters[name], value)
        if name in component.parameters and value is not None
        else value
        for name, value in arguments.parameters.items()
        if name in task.condition.parameters
    }
    return task.condition.evaluate(typed)


def outputs(dag: ir.Dag, scope: Scope) -> Values:
    """Outputs of a DAG whose tasks have ended: the first choice that succeeded."""

    def chosen(selector: ir.Selector) -> tuple[Values, str]:
        for task, output in selector.choices:
            result = scope.results.get(task)
            if result is not None and result.state == SUCCEEDED:
                return result.outputs, output
        return Values(), ""

    parameters, artifacts = {}, {}
    for name, selector in dag.parameters.items():
        source, output = chosen(selector)
        parameters[name] = source.parameters.get(output)
    for name, selector in dag.artifacts.items():
        source, output = chosen(selector)
        artifacts[name] = source.artifacts.get(output)
    return Values(parameters, artifacts)


def items(loop: ir.Loop, arguments: Values) -> list[Any]:
    """The items of a loop."""
    loop_items: Any = list(loop.items)
    if loop.items_input:
        loop_items = (arguments.artifacts if loop.over_artifacts else arguments.parameters).get(
            loop.items_input
        )
    if isinstance(loop_items, str):
        try:
            loop_items = json.loads(loop_items)
        except ValueError as error:
            raise TaskError(f"the items of the loop are not a list: {values.shown(loop_items)}") from error
    if not isinstance(loop_items, list):
        raise TaskError(f"the items of the loop are not a list: {values.shown(loop_items)}")
    if len(loop_items) > _MAX_ITERATIONS:
        raise TaskError(f"the loop has {len(loop_items)} items; the limit is {_MAX_ITERATIONS}")
    return loop_items


def with_item(component: ir.Component, loop: ir.Loop, arguments: Values, item: object) -> Values:
    """Inputs of one iteration."""
    if loop.over_artifacts:
        return Values(arguments.parameters, {**arguments.artifacts, loop.item: item})
    return Values({**arguments.parameters, loop.item: item}, arguments.artifacts)


def loop_result(component: ir.Component, results: Iterable[TaskResult]) -> TaskResult:
    """The result of a loop: a list of the values of each parameter, and of each artifact."""
    iterations = list(results)
    collected = Values(
        {
            name: [result.outputs.parameters.get(name) for result in iterations]
            for name in component.output_parameters
        },
        {
            name: _flat(result.outputs.artifacts.get(name) for result in iterations)
            for name in component.output_artifacts
        },
    )
    failures = [
        f"item {index}: {result.error}" for index, result in enumerate(iterations) if result.state == FAILED
    ]
    return TaskResult(FAILED if failures else SUCCEEDED, collected, "; ".join(failures))


def cache_key(task: ir.Task, component: ir.Component, arguments: Values, root_uri: str) -> str:
    """A hash of everything that a step's result depends on; empty if the content of an input is unknown."""
    step = component.body
    assert isinstance(step, ir.Step)
    artifacts: dict[str, Any] = {}
    for name, value in arguments.artifacts.items():
        parts = []
        for one in value if isinstance(value, list) else [value]:
            digest = one.get("digest") or one.get("identity")
            if not digest and not one.get("empty"):
                return ""
            parts.append([digest, one["type"]["schemaTitle"], one["metadata"]])
        artifacts[name] = parts
    declared = [sorted(component.output_parameters), sorted(component.output_artifacts)]
    program = [step.source, step.function, step.image, dict(step.env)]
    subject = [program, arguments.parameters, artifacts, declared, task.cache_key, root_uri]
    return hashlib.sha256(json.dumps(subject, sort_keys=True).encode()).hexdigest()


def _artifacts(task: ir.Task, component: ir.Component, scope: Scope) -> dict[str, Any]:
    artifacts: dict[str, Any] = {}
    for name, source in task.artifacts.items():
        origin = scope.inputs if source.kind == "input" else scope.results[source.task].outputs
        value = origin.artifacts.get(source.name)
        slot = component.artifacts.get(name)
        if value is not None:
            artifacts[name] = value
        elif slot is not None and not slot.optional:
            raise TaskError(f"input artifact {name!r} has no value: {_origin(source)}")
    return artifacts


def _parameter(source: ir.Source, scope: Scope, facts: Mapping[str, str]) -> object:
    match source.kind:
        case "constant":
            return source.value
        case "input":
            return scope.inputs.parameters.get(source.name)
        case "output":
            return scope.results[source.task].outputs.parameters.get(source.name)
    result = scope.results[source.task]
    return {
        "state": result.state,
        "pipelineJobResourceName": facts["pipeline_job_resource_name"],
        "pipelineTaskName": source.task,
        "error": {"code": 2, "message": result.error} if result.state == FAILED else {},
    }


def _typed(name: str, declared: ir.Parameter, value: object) -> object:
    try:
        return values.coerce(declared.kind, value)
    except values.BadValueError as error:
        raise TaskError(f"input {name!r}: {error}") from error


def _flat(artifacts: Iterable[Any]) -> list[Any]:
    # Like upstream for `Input[List[...]]`, also with nested loops.
    flat: list[Any] = []
    for one in artifacts:
        flat += one if isinstance(one, list) else [one] if one is not None else []
    return flat


def _origin(source: ir.Source) -> str:
    if source.kind == "output":
        return f"task {source.task!r} did not write {source.name!r}"
    return f"the pipeline's {source.name!r} has no value"
