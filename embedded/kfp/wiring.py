"""How values travel between tasks: sources to inputs, selectors to outputs, items of loops. Pure."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from embedded.kfp import ir, values
from embedded.kfp.outcome import FAILED, SUCCEEDED, Ended, Scope, TaskError, Values

_MAX_ITERATIONS: Final = 10_000


def with_defaults(component: ir.Component, given: Values) -> Values:
    """Inputs of a DAG, with the defaults of what was not given."""
    parameters = dict(given.parameters)
    for name, parameter in component.parameters.items():
        if parameters.get(name) is None:
            parameters[name] = parameter.default
    return Values(parameters, given.artifacts)


def inputs(task: ir.Task, component: ir.Component, scope: Scope, facts: Mapping[str, str]) -> Values:
    """Values of a task's inputs; raise TaskError where one that is needed has none."""
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
        if declared is None:  # read by placeholders of the other inputs only
            parameters[name] = value
        elif value is not None:
            # The compiler calls the items of an untyped list STRING, whatever they are: a group of tasks
            # passes them on as they came, and the step at the end knows its type.
            passed_on = declared.kind == "STRING" and isinstance(component.body, ir.Dag)
            parameters[name] = value if passed_on else _typed(name, declared, value)
        elif declared.optional:
            parameters[name] = declared.default
        else:
            raise TaskError(f"input {name!r} has no value: {_origin(source)}")
    for name, declared in component.parameters.items():
        parameters.setdefault(name, declared.default)
    return Values(parameters, _artifacts(task, component, scope))


def holds(task: ir.Task, component: ir.Component, given: Values) -> bool:
    """Say whether a task's condition lets it run; raise ConditionError if that can't be said."""
    if task.condition is None:
        return True
    typed = {
        name: _typed(name, component.parameters[name], value)
        if name in component.parameters and value is not None
        else value
        for name, value in given.parameters.items()
        if name in task.condition.parameters
    }
    return task.condition.holds(typed)


def outputs(dag: ir.Dag, scope: Scope) -> Values:
    """Outputs of a DAG whose tasks have ended: of each, the first choice that ran."""

    def chosen(selector: ir.Selector) -> tuple[Values, str]:
        for task, output in selector.choices:
            end = scope.ended.get(task)
            if end is not None and end.state == SUCCEEDED:
                return end.outputs, output
        return Values(), ""

    parameters, artifacts = {}, {}
    for name, selector in dag.parameters.items():
        found, output = chosen(selector)
        parameters[name] = found.parameters.get(output)
    for name, selector in dag.artifacts.items():
        found, output = chosen(selector)
        artifacts[name] = found.artifacts.get(output)
    return Values(parameters, artifacts)


def items(loop: ir.Loop, given: Values) -> list[Any]:
    """What a loop goes over."""
    found: Any = list(loop.items)
    if loop.items_input:
        found = (given.artifacts if loop.over_artifacts else given.parameters).get(loop.items_input)
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError as error:
            raise TaskError(f"the items of the loop are not a list: {values.shown(found)}") from error
    if not isinstance(found, list):
        raise TaskError(f"the items of the loop are not a list: {values.shown(found)}")
    if len(found) > _MAX_ITERATIONS:
        raise TaskError(f"the loop has {len(found)} items; the limit is {_MAX_ITERATIONS}")
    return found


def with_item(component: ir.Component, loop: ir.Loop, given: Values, item: object) -> Values:
    """Inputs of one iteration."""
    if loop.over_artifacts:
        return Values(given.parameters, {**given.artifacts, loop.item: item})
    return Values({**given.parameters, loop.item: item}, given.artifacts)


def gathered(component: ir.Component, ended: Iterable[Ended]) -> Ended:
    """A loop's end and outputs: a list of each parameter, and all artifacts of one name in one list."""
    ends = list(ended)
    collected = Values(
        {name: [end.outputs.parameters.get(name) for end in ends] for name in component.output_parameters},
        {name: _flat(end.outputs.artifacts.get(name) for end in ends) for name in component.output_artifacts},
    )
    failures = [f"item {index}: {end.error}" for index, end in enumerate(ends) if end.state == FAILED]
    return Ended(FAILED if failures else SUCCEEDED, collected, "; ".join(failures))


def cache_key(task: ir.Task, component: ir.Component, given: Values, root_uri: str) -> str:
    """A digest of all that a step's result can depend on; empty if the content of an input is unknown."""
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
    written = [sorted(component.output_parameters), sorted(component.output_artifacts)]
    program = [step.source, step.function, step.image, dict(step.env)]
    subject = [program, given.parameters, artifacts, written, task.cache_key, root_uri]
    return hashlib.sha256(json.dumps(subject, sort_keys=True).encode()).hexdigest()


def _artifacts(task: ir.Task, component: ir.Component, scope: Scope) -> dict[str, Any]:
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


def _parameter(source: ir.Source, scope: Scope, facts: Mapping[str, str]) -> object:
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
        "pipelineJobResourceName": facts["pipeline_job_resource_name"],
        "pipelineTaskName": source.task,
        "error": {"code": 2, "message": end.error} if end.state == FAILED else {},
    }


def _typed(name: str, declared: ir.Parameter, value: object) -> object:
    try:
        return values.coerce(declared.kind, value)
    except values.BadValueError as error:
        raise TaskError(f"input {name!r}: {error}") from error


def _flat(artifacts: Iterable[Any]) -> list[Any]:
    # As the backend hands them to `Input[List[...]]`, also out of nested loops.
    flat: list[Any] = []
    for one in artifacts:
        flat += one if isinstance(one, list) else [one] if one is not None else []
    return flat


def _origin(source: ir.Source) -> str:
    if source.kind == "output":
        return f"task {source.task!r} did not write {source.name!r}"
    return f"the pipeline's {source.name!r} was not given"
