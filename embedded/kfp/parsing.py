"""Convert a document to a Pipeline; unsupported features are refused by name.

Deliberately strict: a setting that the scheduler would ignore is an error at upload. The exceptions are the
image of a step and its CPU and memory limits, which are documented in the package.
"""

import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from embedded.kfp import ir, lightweight, task_parsing, values
from embedded.kfp.document import Document
from embedded.kfp.unsupported import UnsupportedError, check_name

_SCHEMA_VERSIONS: Final = ("2.0.0", "2.1.0")
_PIPELINE_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,126}[a-z0-9])?")
_OUTPUT_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ -]{0,254}")
_MAX_NESTING: Final = 30


def parse(document: Document) -> ir.Pipeline:
    """Convert a document; raise UnsupportedError with the feature's name."""
    _check_platform(document.platform_spec)
    spec = _normalized(document.pipeline_spec)
    version = spec.get("schemaVersion", "")
    if version not in _SCHEMA_VERSIONS:
        raise UnsupportedError(
            f"schemaVersion {version!r} is not supported, only {', '.join(_SCHEMA_VERSIONS)}: "
            "compile with the kfp 2 SDK"
        )
    name = spec.get("pipelineInfo", {}).get("name", "")
    check_name("pipeline", name, _PIPELINE_NAME)
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    components = {key: _component(key, body, executors) for key, body in spec.get("components", {}).items()}
    if "dag" not in spec.get("root", {}):
        raise UnsupportedError("the root of the pipeline is not a DAG")
    root = _component("root", spec["root"], executors)
    if any(not slot.optional for slot in root.artifacts.values()):
        raise UnsupportedError("a pipeline whose own input is an artifact can't be run: use dsl.importer")
    pipeline = ir.Pipeline(
        name=name,
        description=spec.get("pipelineInfo", {}).get("description", ""),
        default_root=spec.get("defaultPipelineRoot", ""),
        root=root,
        components=components,
    )
    _check_references(pipeline)
    return pipeline


def _normalized(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Validate with the SDK's schema and return the canonical JSON form.

    Numbers are converted as in the upstream backend: protobuf has doubles only, and writes 1.0 as 1.
    """
    try:
        message = json_format.ParseDict(raw, pipeline_spec_pb2.PipelineSpec())
        normalized: dict[str, Any] = json_format.MessageToDict(message)
    except (json_format.ParseError, json_format.SerializeToJsonError, TypeError, ValueError) as error:
        raise UnsupportedError(f"not a PipelineSpec: {_short(error)}") from error
    return normalized


def _check_platform(platform: Mapping[str, Any] | None) -> None:
    unsupported = []
    for platform_name, body in ((platform or {}).get("platforms") or {}).items():
        for place, holder in (("pipelineConfig", "the pipeline"), ("deploymentSpec", "")):
            part = (body or {}).get(place) or {}
            if holder:
                unsupported += [f"{setting} on {holder}" for setting in part]
                continue
            for executor, settings in (part.get("executors") or {}).items():
                unsupported += [
                    f"{setting} on {executor.removeprefix('exec-')}" for setting in settings or {}
                ]
        if not isinstance(body, dict):
            raise UnsupportedError(f"platform {platform_name!r} is not an object")
    if unsupported:
        raise UnsupportedError(
            f"platform settings are not supported: {', '.join(sorted(unsupported))}. "
            "Steps run as processes of the server's pod: Secrets, volumes and scheduling don't apply"
        )


def _component(name: str, body: Mapping[str, Any], executors: Mapping[str, Any]) -> ir.Component:
    inputs, outputs = body.get("inputDefinitions", {}), body.get("outputDefinitions", {})
    parameters = {key: _parameter(name, key, value) for key, value in inputs.get("parameters", {}).items()}
    for key in (*outputs.get("parameters", {}), *outputs.get("artifacts", {})):
        check_name(f"output of {name}", key, _OUTPUT_NAME)
    return ir.Component(
        name=name,
        body=_dag(name, body["dag"], parameters) if "dag" in body else _executor(name, body, executors),
        parameters=parameters,
        artifacts={key: _slot(value) for key, value in inputs.get("artifacts", {}).items()},
        output_parameters={k: _parameter(name, k, v) for k, v in outputs.get("parameters", {}).items()},
        output_artifacts={key: _slot(value) for key, value in outputs.get("artifacts", {}).items()},
    )


def _parameter(component: str, name: str, body: Mapping[str, Any]) -> ir.Parameter:
    kind = body.get("parameterType", "")
    if kind not in values.TYPES:
        raise UnsupportedError(
            f"parameter {name!r} of {component} has type {kind or 'none'}, which is not supported"
        )
    default = body.get("defaultValue")
    if default is not None:
        try:
            default = values.coerce(kind, default)
        except values.BadValueError as error:
            raise UnsupportedError(f"default of {name!r} of {component}: {error}") from error
    return ir.Parameter(kind, optional=body.get("isOptional", False) or default is not None, default=default)


def _slot(body: Mapping[str, Any]) -> ir.ArtifactSlot:
    kind = body.get("artifactType", {})
    return ir.ArtifactSlot(
        schema_title=kind.get("schemaTitle", "system.Artifact"),
        schema_version=kind.get("schemaVersion", "0.0.1"),
        is_list=body.get("isArtifactList", False),
        optional=body.get("isOptional", False),
    )


def _executor(name: str, body: Mapping[str, Any], executors: Mapping[str, Any]) -> ir.Step | ir.Importer:
    label = body.get("executorLabel", "")
    executor = executors.get(label)
    if executor is None:
        raise UnsupportedError(
            f"component {name} refers to executor {label!r}, which is not in deploymentSpec"
        )
    if "importer" in executor:
        return _importer(name, executor["importer"])
    if "container" not in executor:
        raise UnsupportedError(
            f"executor {label!r}: {', '.join(executor) or 'an empty executor'} is not supported"
        )
    try:
        return lightweight.step(executor["container"])
    except lightweight.NotLightweightError as error:
        raise UnsupportedError(f"component {name.removeprefix('comp-')}: {error}") from error


def _importer(name: str, body: Mapping[str, Any]) -> ir.Importer:
    source = body.get("artifactUri", {})
    if "runtimeParameter" in source:
        uri: object = "{{$.inputs.parameters['%s']}}" % source["runtimeParameter"]  # noqa: UP031
    else:
        uri = source.get("constant", source.get("constantValue", {}).get("stringValue", ""))
    if not isinstance(uri, str) or not uri:
        raise UnsupportedError(f"importer {name} has no artifactUri")
    if "{{" not in uri and not uri.startswith(("s3://", "minio://")):
        raise UnsupportedError(f"importer {name}: only s3:// and minio:// can be imported, not {uri!r}")
    if body.get("downloadToWorkspace"):
        raise UnsupportedError(f"importer {name}: download_to_workspace is not supported")
    return ir.Importer(uri, body.get("metadata", {}))


def _dag(name: str, body: Mapping[str, Any], inputs: Mapping[str, ir.Parameter]) -> ir.Dag:
    tasks = {key: task_parsing.task(key, value) for key, value in body.get("tasks", {}).items()}
    for task in tasks.values():
        sources = {
            source.task for source in (*task.parameters.values(), *task.artifacts.values()) if source.task
        }
        for other in (task.after | sources) - tasks.keys():
            raise UnsupportedError(f"task {task.name!r} of {name} depends on {other!r}, which doesn't exist")
    try:
        order = tuple(TopologicalSorter({task.name: task.after for task in tasks.values()}).static_order())
    except CycleError as error:
        raise UnsupportedError(
            f"tasks of {name} depend on each other: {' -> '.join(error.args[1])}"
        ) from error
    outputs = body.get("outputs", {})
    dag = ir.Dag(
        tasks=tuple(tasks[key] for key in order),
        parameters={key: _parameter_selector(value) for key, value in outputs.get("parameters", {}).items()},
        artifacts={
            key: ir.Selector(
                tuple(_choice(one, "outputArtifactKey") for one in value.get("artifactSelectors", ()))
            )
            for key, value in outputs.get("artifacts", {}).items()
        },
    )
    for selector in (*dag.parameters.values(), *dag.artifacts.values()):
        for task_name, _ in selector.choices:
            if task_name not in tasks:
                raise UnsupportedError(
                    f"an output of {name} refers to task {task_name!r}, which doesn't exist"
                )
    _check_dag_inputs(name, dag, inputs)
    return dag


def _check_dag_inputs(name: str, dag: ir.Dag, inputs: Mapping[str, ir.Parameter]) -> None:
    for task in dag.tasks:
        for source in task.parameters.values():
            if source.kind == "input" and source.name not in inputs:
                raise UnsupportedError(
                    f"task {task.name!r} of {name} reads input {source.name!r}, which doesn't exist"
                )


def _parameter_selector(body: Mapping[str, Any]) -> ir.Selector:
    if "valueFromOneof" in body:
        chosen = body["valueFromOneof"].get("parameterSelectors", ())
    else:
        chosen = (body.get("valueFromParameter", {}),)
    return ir.Selector(tuple(_choice(one, "outputParameterKey") for one in chosen))


def _choice(body: Mapping[str, Any], key: str) -> tuple[str, str]:
    return body.get("producerSubtask", ""), body.get(key, "")


def _check_references(pipeline: ir.Pipeline) -> None:
    def visit(component: ir.Component, above: tuple[str, ...]) -> None:
        if component.name in above or len(above) > _MAX_NESTING:
            raise UnsupportedError(f"component {component.name} contains itself, or is nested too deeply")
        if not isinstance(component.body, ir.Dag):
            return
        for task in component.body.tasks:
            target = pipeline.components.get(task.component)
            if target is None:
                raise UnsupportedError(
                    f"task {task.name!r} refers to component {task.component!r}, which doesn't exist"
                )
            visit(target, (*above, component.name))
            _check_use(task, target)

    visit(pipeline.root, ())


def _check_use(task: ir.Task, target: ir.Component) -> None:
    is_dag = isinstance(target.body, ir.Dag)
    if task.retry.times and is_dag:
        raise UnsupportedError(
            f"task {task.name!r}: set_retry on a group of tasks is not supported; set it on the steps"
        )
    if task.loop and not is_dag:
        raise UnsupportedError(f"task {task.name!r}: only groups of tasks can be run in a loop")
    for name, slot in target.artifacts.items():
        if name not in task.artifacts and not slot.optional and not (task.loop and task.loop.item == name):
            raise UnsupportedError(f"task {task.name!r}: input artifact {name!r} has no source")
    for name, parameter in target.parameters.items():
        loop_item = task.loop is not None and task.loop.item == name
        if name not in task.parameters and not parameter.optional and not loop_item:
            raise UnsupportedError(f"task {task.name!r}: input {name!r} has no source")


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:297]}..."
