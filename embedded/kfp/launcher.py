"""Run one task: download its input artifacts, run the function, upload its results."""

import asyncio
import json
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, TypeVarTuple

from embedded.kfp import ir, tree, values
from embedded.kfp.objects import ArtifactStore, ArtifactStoreError, Location
from embedded.kfp.outcome import Artifact, TaskError, Values
from embedded.kfp.processes import StepLostError, StepProcesses, StepRequest

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")

_TAIL_LINES: Final = 15
_TAIL_BYTES: Final = 8192
_MAX_OUTPUT: Final = 32 * 1024 * 1024
_CLOSED: Final = 0o2700
_SHARED: Final = 0o2770
"""Modes of a step's folder: access for the server only, or also for its group, which steps belong to."""
_ENTERED: Final = 0o750
"""Mode of the parent folders: steps can traverse them, but not replace their entries."""


@dataclass(frozen=True, slots=True)
class TaskPaths:
    """Where a task stores its artifacts (`uri`), its working files and its log."""

    uri: str
    folder: Path
    log: Path


class Launcher:
    """Runs steps and importers with the store of one namespace."""

    def __init__(self, store: ArtifactStore, processes: StepProcesses, threads: Executor) -> None:
        self._store = store
        self._processes = processes
        self._threads = threads

    async def step(self, component: ir.Component, inputs: Values, paths: TaskPaths, attempt: int) -> Values:
        """Run one attempt; raise TaskError if it fails. Cancellation kills the process."""
        folder = paths.folder / str(attempt)
        try:
            request = await self._off_loop(_prepare, self._store, component, inputs, paths, folder)
            status = await self._processes.run(request)
            await self._off_loop(folder.chmod, _CLOSED)
            if status != 0:
                raise TaskError(f"{_exit_text(status)}. {_tail(paths.log)}".strip())
            return await self._off_loop(_collect, self._store, component, request, paths)
        except (ArtifactStoreError, values.BadValueError, StepLostError) as error:
            raise TaskError(str(error)) from error
        finally:
            await asyncio.shield(self._off_loop(self._clean_up, paths, folder))

    async def importer(self, component: ir.Component, importer: ir.Importer, inputs: Values) -> Values:
        """Create an artifact from an existing object."""
        return await self._off_loop(self._import, component, importer, inputs)

    async def identity(self, uri: str) -> str:
        """See ArtifactStore.identity."""
        return await self._off_loop(self._store.identity, uri)

    def _import(self, component: ir.Component, importer: ir.Importer, inputs: Values) -> Values:
        uri = values.fill(importer.uri, inputs.parameters, {})
        metadata = values.fill(dict(importer.metadata), inputs.parameters, {})
        try:
            identity = self._store.identity(str(uri))
        except ArtifactStoreError as error:
            raise TaskError(str(error)) from error
        if not identity:
            raise TaskError(f"{uri} does not exist in the store")
        [(name, slot)] = component.output_artifacts.items()
        return Values(
            artifacts={name: {**_artifact(name, slot, str(uri)), "metadata": metadata, "identity": identity}}
        )

    def _clean_up(self, paths: TaskPaths, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        if paths.log.exists():
            try:
                self._store.upload(paths.log, f"{paths.uri}/log")
            except ArtifactStoreError as error:
                # The log is still on the server's volume; this must not hide the step's result.
                with paths.log.open("a", encoding="utf-8") as log:
                    log.write(f"[slipway] the log could not be copied to the store: {error}\n")

    async def _off_loop(self, function: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _prepare(
    store: ArtifactStore, component: ir.Component, inputs: Values, paths: TaskPaths, folder: Path
) -> StepRequest:
    step = component.body
    assert isinstance(step, ir.Step)
    for parent in (folder.parent.parent, folder.parent):
        parent.mkdir(mode=_ENTERED, exist_ok=True)
    folder.mkdir()
    # Closed until it is complete: another running step could place links in it.
    folder.chmod(_CLOSED)
    (folder / "tmp").mkdir()
    paths.log.parent.mkdir(parents=True, exist_ok=True)
    seen = set()
    for name, artifact in inputs.artifacts.items():
        for one in artifact if isinstance(artifact, list) else [artifact]:
            if one["uri"] in seen:
                continue
            seen.add(one["uri"])
            if one.get("empty"):
                continue
            try:
                store.download(one["uri"], folder, one.get("digest"))
            except ArtifactStoreError as error:
                raise TaskError(f"input artifact {name!r}: {error}") from error
    base = Location.parse(paths.uri)
    outputs = base.below(folder)
    outputs.mkdir(parents=True, exist_ok=True)
    (outputs / ".parameters").mkdir()
    folder.chmod(_SHARED)
    return StepRequest(
        function=step.function,
        source=step.source,
        executor_input=_executor_input(component, inputs, paths, outputs),
        env=step.env,
        folder=folder,
        log=paths.log,
    )


def _executor_input(
    component: ir.Component, inputs: Values, paths: TaskPaths, outputs: Path
) -> dict[str, Any]:
    """The input of the SDK's executor; output paths are those of `dsl.get_uri` and `.path`."""
    parameters = {name: value for name, value in inputs.parameters.items() if value is not None}
    artifacts = {
        name: {"artifacts": [_public(one) for one in (value if isinstance(value, list) else [value])]}
        for name, value in inputs.artifacts.items()
    }
    return {
        "inputs": {"parameterValues": parameters, "artifacts": artifacts},
        "outputs": {
            "parameters": {
                name: {"outputFile": str(outputs / ".parameters" / name)}
                for name in component.output_parameters
            },
            "artifacts": {
                name: {"artifacts": [_artifact(name, slot, f"{paths.uri}/{name}")]}
                for name, slot in component.output_artifacts.items()
            },
            "outputFile": str(outputs / "executor_output.json"),
        },
    }


def _artifact(name: str, slot: ir.ArtifactSlot, uri: str) -> Artifact:
    kind = {"schemaTitle": slot.schema_title, "schemaVersion": slot.schema_version}
    return {"name": name, "type": kind, "uri": uri, "metadata": {}}


def _public(artifact: Artifact) -> Artifact:
    return {key: artifact[key] for key in ("name", "type", "uri", "metadata")}


def _collect(store: ArtifactStore, component: ir.Component, request: StepRequest, paths: TaskPaths) -> Values:
    outputs = request.executor_input["outputs"]
    output = _executor_output(request.folder, Path(outputs["outputFile"]))
    parameters: dict[str, Any] = {}
    for name, parameter in component.output_parameters.items():
        file = Path(outputs["parameters"][name]["outputFile"])
        try:
            if name in output.get("parameterValues", {}):
                parameters[name] = values.coerce(parameter.kind, output["parameterValues"][name])
            elif (data := tree.read(request.folder, file, _MAX_OUTPUT)) is not None:
                parameters[name] = values.from_text(parameter.kind, data.decode())
        except (ValueError, OSError) as error:
            raise TaskError(f"output {name!r}: {error}") from error
    artifacts = {}
    for name in component.output_artifacts:
        [declared] = outputs["artifacts"][name]["artifacts"]
        written = (output.get("artifacts", {}).get(name, {}).get("artifacts") or [{}])[0]
        changes = {key: written[key] for key in ("uri", "metadata") if key in written}
        custom_path = written.get("custom_path", "")
        artifacts[name] = _upload(store, {**declared, **changes}, custom_path, request.folder)
    result = Values(parameters, artifacts)
    store.put(json.dumps({"parameters": parameters, "artifacts": artifacts}, indent=1).encode(),
              f"{paths.uri}/executor_output.json")  # fmt: skip
    return result


def _upload(store: ArtifactStore, artifact: Artifact, custom_path: str, folder: Path) -> Artifact:
    """Upload the content of one output artifact."""
    _check_metadata(artifact)
    if not artifact["uri"].startswith(("s3://", "minio://")):
        return {**artifact, "empty": True}  # a URI that the step has set, such as https://
    path = Path(custom_path) if custom_path else Location.parse(artifact["uri"]).below(folder)
    try:
        with tree.opened(folder, path) as descriptor:
            return {**artifact, "digest": store.upload_open(descriptor, artifact["uri"])}
    except FileNotFoundError:
        pass
    except tree.NotPlainError as error:
        raise TaskError(f"output artifact {artifact['name']!r}: {error}") from error
    # Metrics are metadata and have no file. Any other missing file is an error of the step that reads it.
    return {**artifact, "empty": True} if artifact["type"]["schemaTitle"] in _WITHOUT_FILE else artifact


_WITHOUT_FILE: Final = (
    "system.Metrics",
    "system.ClassificationMetrics",
    "system.SlicedClassificationMetrics",
)


def _check_metadata(artifact: Artifact) -> None:
    try:
        json.dumps(artifact["metadata"], allow_nan=False)
    except ValueError as error:
        raise TaskError(
            f"metadata of output artifact {artifact['name']!r} contains nan or infinity"
        ) from error


def _executor_output(folder: Path, path: Path) -> Mapping[str, Any]:
    try:
        data = tree.read(folder, path, _MAX_OUTPUT)
        body = json.loads(data) if data is not None else {}
    except (ValueError, OSError, RecursionError) as error:
        raise TaskError(f"the step's outputs can't be parsed: {error}") from error
    if not isinstance(body, dict):
        raise TaskError("the step's outputs are not a JSON object")
    return body


def _exit_text(status: int) -> str:
    if status == -9:
        return "the step was killed (signal 9); it may have run out of memory"
    return (
        f"the step was terminated by signal {-status}"
        if status < 0
        else f"the step ended with exit code {status}"
    )


def _tail(log: Path) -> str:
    """The last lines of a log, for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line for line in text.splitlines() if line.strip()]
    return "Last lines of its log:\n" + "\n".join(lines[-_TAIL_LINES:]) if lines else "Its log is empty."
