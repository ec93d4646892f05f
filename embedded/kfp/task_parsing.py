"""Convert the tasks of a document: their inputs, conditions, loops and retries. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from embedded.kfp import condition, ir, values
from embedded.kfp.condition_syntax import ConditionError
from embedded.kfp.unsupported import UnsupportedError, check_name

_TASK_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,126}[a-z0-9])?")


def task(name: str, body: Mapping[str, Any]) -> ir.Task:
    """Convert one task.

    Args:
        name: Its name in the DAG.
        body: Its `PipelineTaskSpec`, as JSON.

    Raises:
        UnsupportedError: It uses a feature that the scheduler does not have.
    """
    check_name("task", name, _TASK_NAME)
    inputs = body.get("inputs", {})
    parameters = {
        key: _parameter_source(name, key, value) for key, value in inputs.get("parameters", {}).items()
    }
    artifacts = {
        key: _artifact_source(name, key, value) for key, value in inputs.get("artifacts", {}).items()
    }
    trigger = body.get("triggerPolicy", {})
    strategy = trigger.get("strategy", "ALL_UPSTREAM_TASKS_SUCCEEDED")
    sources = {source.task for source in (*parameters.values(), *artifacts.values()) if source.task}
    caching = body.get("cachingOptions", {})
    return ir.Task(
        name=name,
        component=body.get("componentRef", {}).get("name", ""),
        after=frozenset(body.get("dependentTasks", ())) | sources,
        parameters=parameters,
        artifacts=artifacts,
        condition=_condition(name, trigger.get("condition", ""), parameters),
        always=strategy == "ALL_UPSTREAM_TASKS_COMPLETED",
        loop=_loop(name, body),
        retry=_retry(body.get("retryPolicy", {})),
        cached=caching.get("enableCache", False),
        cache_key=caching.get("cacheKey", ""),
    )


def _condition(task: str, text: str, parameters: Mapping[str, object]) -> condition.Condition | None:
    if not text:
        return None
    try:
        parsed = condition.parse(text)
    except ConditionError as error:
        raise UnsupportedError(
            f"task {task!r}: {error}. A known cause is a quote in a compared string"
        ) from error
    missing = sorted(parsed.parameters - parameters.keys())
    if missing:
        raise UnsupportedError(
            f"task {task!r}: its condition reads {missing[0]!r}, which is not one of its inputs"
        )
    return parsed


def _parameter_source(task: str, name: str, body: Mapping[str, Any]) -> ir.Source:
    selector = body.get("parameterExpressionSelector", "")
    if selector:
        try:
            values.check_selector(selector)
        except values.BadValueError as error:
            raise UnsupportedError(f"input {name!r} of task {task!r}: {error}") from error
    if "taskOutputParameter" in body:
        output = body["taskOutputParameter"]
        return ir.Source("output", output["outputParameterKey"], output["producerTask"], selector=selector)
    if "componentInputParameter" in body:
        return ir.Source("input", body["componentInputParameter"], selector=selector)
    if "taskFinalStatus" in body:
        return ir.Source("status", task=body["taskFinalStatus"]["producerTask"])
    value = body.get("runtimeValue", {})
    if "constant" not in value:
        raise UnsupportedError(f"input {name!r} of task {task!r} has no supported source")
    return ir.Source("constant", value=value["constant"], selector=selector)


def _artifact_source(task: str, name: str, body: Mapping[str, Any]) -> ir.Source:
    if "taskOutputArtifact" in body:
        output = body["taskOutputArtifact"]
        return ir.Source("output", output["outputArtifactKey"], output["producerTask"])
    if "componentInputArtifact" in body:
        return ir.Source("input", body["componentInputArtifact"])
    raise UnsupportedError(f"artifact {name!r} of task {task!r} has no supported source")


def _loop(task: str, body: Mapping[str, Any]) -> ir.Loop | None:
    parallelism = body.get("iteratorPolicy", {}).get("parallelismLimit", 0)
    if "artifactIterator" in body:
        iterator = body["artifactIterator"]
        return ir.Loop(iterator["itemInput"], iterator["items"]["inputArtifact"], (), True, parallelism)
    if "parameterIterator" not in body:
        return None
    iterator = body["parameterIterator"]
    items = iterator.get("items", {})
    if "inputParameter" in items:
        return ir.Loop(iterator["itemInput"], items["inputParameter"], parallelism=parallelism)
    try:
        fixed = json.loads(items.get("raw", ""))
    except ValueError as error:
        raise UnsupportedError(f"task {task!r}: the items of the loop are not JSON") from error
    if not isinstance(fixed, list):
        raise UnsupportedError(f"task {task!r}: the items of the loop are not a list")
    return ir.Loop(iterator["itemInput"], items=tuple(fixed), parallelism=parallelism)


def _retry(body: Mapping[str, Any]) -> ir.Retry:
    def seconds(key: str, default: float) -> float:
        return float(str(body.get(key, default)).removesuffix("s"))

    return ir.Retry(
        times=max(0, int(body.get("maxRetryCount", 0))),
        backoff=max(0.0, seconds("backoffDuration", 0.0)),
        factor=max(1.0, float(body.get("backoffFactor", 2.0) or 2.0)),
        longest=seconds("backoffMaxDuration", 3600.0),
    )
