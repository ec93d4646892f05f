"""The operations of the API, independent of HTTP: validate, store, return rows."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from embedded.kfp import document, ir, parsing, values
from embedded.kfp.database import ACTIVE, Database, DuplicateError, Row, new_id, now
from embedded.kfp.document import Document
from embedded.kfp.failures import INVALID_ARGUMENT, ApiError, duplicate, invalid, not_found, precondition
from embedded.kfp.objects import ArtifactStoreError, Location
from embedded.kfp.requests import NewExperiment, NewRun, RuntimeConfig, VersionReference
from embedded.kfp.runs import Runs
from embedded.kfp.unsupported import UnsupportedError

AVAILABLE: Final = "AVAILABLE"
ARCHIVED: Final = "ARCHIVED"
_LONGEST_NAME: Final = 128
_DEFAULT_EXPERIMENT: Final = "Default"


class Service:
    """The operations of the API."""

    def __init__(self, database: Database, runs: Runs, default_namespace: str) -> None:
        """`default_namespace` applies to requests without a namespace."""
        self.database = database
        self._runs = runs
        self._default_namespace = default_namespace

    def upload_pipeline(self, data: bytes, filename: str, query: Mapping[str, str]) -> Row:
        """Create a pipeline with its first version."""
        pipeline, checked = _accepted_file(data)
        name = _upload_name(query, filename, pipeline.name)
        row = self.create_pipeline(
            name=name,
            display_name=query.get("display_name") or name,
            description=query.get("description") or "",
            namespace=query.get("namespace") or "",
        )
        self._insert_version(row["id"], name, row["display_name"], query.get("description") or "", checked)
        return row

    def upload_version(self, data: bytes, filename: str, query: Mapping[str, str]) -> Row:
        """Add a version to a pipeline."""
        parent = self.get("pipelines", query.get("pipelineid", ""))
        pipeline, checked = _accepted_file(data)
        name = _upload_name(query, filename, pipeline.name)
        return self._insert_version(
            parent["id"], name, query.get("display_name") or name, query.get("description") or "", checked
        )

    def create_pipeline(self, *, name: str, display_name: str, description: str, namespace: str) -> Row:
        """Create a pipeline without versions."""
        row = {
            "id": new_id(), "name": _name("pipeline", name), "display_name": _name("pipeline", display_name),
            "namespace": namespace, "description": description, "created_at": now(),
        }  # fmt: skip
        try:
            self.database.insert("pipelines", row)
        except DuplicateError:
            raise duplicate("pipeline", name) from None
        return row

    def delete_pipeline(self, identifier: str, *, cascade: bool) -> None:
        """Delete a pipeline, with its versions if `cascade`."""
        self.get("pipelines", identifier)
        if not cascade and self.database.latest_version(identifier) is not None:
            raise precondition(
                f"pipeline {identifier} still has versions: delete them first, or pass cascade=true"
            )
        self.database.delete("pipelines", identifier)

    def version(self, pipeline_id: str, version_id: str) -> Row:
        """A version of a pipeline."""
        row = self.database.find("versions", id=version_id, pipeline_id=pipeline_id)
        if row is None:
            raise not_found("pipeline version", version_id)
        return row

    def create_experiment(self, body: NewExperiment) -> Row:
        """Create an experiment."""
        name = _name("experiment", body.display_name)
        row = {
            "id": new_id(), "display_name": name, "namespace": body.namespace or self._default_namespace,
            "description": body.description or "", "created_at": now(), "storage_state": AVAILABLE,
            "last_run_created_at": None,
        }  # fmt: skip
        try:
            self.database.insert("experiments", row)
        except DuplicateError:
            raise duplicate("experiment", name) from None
        return row

    def create_run(self, body: NewRun, experiment_id: str = "") -> Row:
        """Validate a run, then start it. `experiment_id` is the default if the body has none."""
        experiment = self._experiment_of(body.experiment_id or experiment_id)
        spec, pipeline, reference = self._spec_of(body)
        runtime = body.runtime_config or RuntimeConfig()
        created = now()
        row = {
            "id": new_id(), "experiment_id": experiment["id"], "namespace": experiment["namespace"],
            "display_name": _name("run", body.display_name or pipeline.name),
            "description": body.description or "", "spec": spec,
            "pipeline_id": reference.get("pipeline_id"), "version_id": reference.get("pipeline_version_id"),
            "parameters": json.dumps(_parameters(pipeline, runtime.parameters or {})),
            "pipeline_root": _root(runtime.pipeline_root or ""),
            "service_account": body.service_account or "", "storage_state": AVAILABLE,
            "created_at": created, "state": "PENDING",
            "history": json.dumps([{"update_time": created, "state": "PENDING"}]),
        }  # fmt: skip
        self.database.insert("runs", row)
        self.database.update("experiments", experiment["id"], last_run_created_at=created)
        self._runs.submit(row["id"])
        return self.get("runs", row["id"])

    def terminate(self, run_id: str) -> None:
        """Stop a run; raise ApiError if it has ended."""
        self.get("runs", run_id)
        if not self._runs.terminate(run_id):
            raise precondition(f"run {run_id} is not running")

    def delete_run(self, run_id: str) -> None:
        """Terminate and delete a run. Its artifacts are kept until a lifecycle rule deletes them."""
        self.get("runs", run_id)
        self._runs.terminate(run_id)
        self.database.delete("runs", run_id)

    def set_storage_state(self, table: str, identifier: str, state: str) -> None:
        """Archive or unarchive a run or an experiment."""
        row = self.get(table, identifier)
        if table == "runs" and state == ARCHIVED and row["state"] in ACTIVE:
            raise precondition(f"run {identifier} is {row['state']}: terminate it before archiving it")
        self.database.update(table, identifier, storage_state=state)

    def delete(self, table: str, identifier: str) -> None:
        """Delete an experiment or a version. Runs are kept."""
        self.get(table, identifier)
        self.database.delete(table, identifier)

    def get(self, table: str, identifier: str) -> Row:
        """A row by its id; raise ApiError (404) if it does not exist."""
        row = self.database.find(table, id=identifier)
        if row is None:
            raise not_found({"versions": "pipeline version"}.get(table, table[:-1]), identifier)
        return row

    def find_task(self, run_id: str, task: str) -> Row:
        """A task of a run by its id, its path, or its name if that is unique."""
        self.get("runs", run_id)
        tasks = self.database.tasks(run_id)
        matches = [row for row in tasks if task in (row["id"], row["path"])]
        matches = matches or [row for row in tasks if row["name"] == task]
        if not matches:
            raise not_found("task", task)
        if len(matches) > 1:
            raise invalid(
                f"several tasks are named {task!r}: {', '.join(row['path'] for row in matches[:20])}"
            )
        return matches[0]

    def _insert_version(
        self, pipeline_id: str, name: str, display_name: str, description: str, checked: Document
    ) -> Row:
        row = {
            "id": new_id(), "pipeline_id": pipeline_id, "name": _name("pipeline version", name),
            "display_name": _name("pipeline version", display_name), "description": description,
            "created_at": now(), "code_source_url": "", "spec": json.dumps(checked.as_api()),
        }  # fmt: skip
        try:
            self.database.insert("versions", row)
        except DuplicateError:
            raise duplicate("pipeline version", name) from None
        except sqlite3.IntegrityError:
            raise not_found("pipeline", pipeline_id) from None
        return row

    def _experiment_of(self, identifier: str) -> Row:
        if not identifier:
            default = self.database.find(
                "experiments", namespace=self._default_namespace, display_name=_DEFAULT_EXPERIMENT
            )
            return default or self.create_experiment(NewExperiment(display_name=_DEFAULT_EXPERIMENT))
        row = self.get("experiments", identifier)
        if row["storage_state"] == ARCHIVED:
            raise precondition(f"experiment {row['display_name']!r} is archived")
        return row

    def _spec_of(self, body: NewRun) -> tuple[str, ir.Pipeline, dict[str, str]]:
        reference = body.pipeline_version_reference or VersionReference()
        if body.pipeline_spec:
            if reference.pipeline_id or reference.pipeline_version_id:
                raise invalid("a run must have either pipeline_spec or pipeline_version_reference, not both")
            try:
                checked = document.from_api(body.pipeline_spec)
            except document.DocumentError as error:
                raise invalid(f"pipeline_spec: {error}") from error
            return json.dumps(checked.as_api()), _accepted(checked), {}
        pipeline_id = reference.pipeline_id
        if not pipeline_id:
            raise invalid("a run needs pipeline_spec or pipeline_version_reference.pipeline_id")
        self.get("pipelines", pipeline_id)
        if reference.pipeline_version_id:
            version = self.version(pipeline_id, reference.pipeline_version_id)
        else:
            latest = self.database.latest_version(pipeline_id)
            if latest is None:
                raise precondition(f"pipeline {pipeline_id} has no version")
            version = latest
        chosen = {"pipeline_id": pipeline_id, "pipeline_version_id": version["id"]}
        return version["spec"], _accepted(document.from_api(json.loads(version["spec"]))), chosen


def _upload_name(query: Mapping[str, str], filename: str, default: str) -> str:
    """The name of an upload: the requested name, the file's name, or `default`."""
    requested = query.get("name") or query.get("display_name")
    return requested or filename.rsplit("/", maxsplit=1)[-1] or default


def _accepted_file(data: bytes) -> tuple[ir.Pipeline, Document]:
    try:
        checked = document.from_bytes(data)
    except document.TooLargeError as error:
        raise ApiError(INVALID_ARGUMENT, f"pipeline file: {error}", status=413) from error
    except document.DocumentError as error:
        raise invalid(f"pipeline file: {error}") from error
    return _accepted(checked), checked


def _accepted(checked: Document) -> ir.Pipeline:
    try:
        return parsing.parse(checked)
    except UnsupportedError as error:
        raise invalid(f"pipeline: {error}") from error


def _parameters(pipeline: ir.Pipeline, arguments: Mapping[str, Any]) -> dict[str, Any]:
    declared = pipeline.root.parameters
    unknown = sorted(arguments.keys() - declared.keys())
    if unknown:
        raise invalid(
            f"parameter {unknown[0]!r} is not an input of pipeline {pipeline.name}; "
            f"its inputs are: {', '.join(declared)}"
        )
    checked: dict[str, Any] = {}
    for name, parameter in declared.items():
        value = arguments.get(name)
        if value is None:
            if not parameter.optional:
                raise invalid(f"parameter {name!r} of pipeline {pipeline.name} has no value and no default")
            continue
        if parameter.kind == "STRING" and not isinstance(value, str):
            raise invalid(f"parameter {name!r}: expected a string, got {values.shown(value)}")
        try:
            checked[name] = values.coerce(parameter.kind, value)
        except values.BadValueError as error:
            raise invalid(f"parameter {name!r}: {error}") from error
    return checked


def _root(uri: str) -> str:
    try:
        return Location.parse(uri).uri if uri else ""
    except ArtifactStoreError as error:
        raise invalid(f"pipeline_root: {error}") from error


def _name(kind: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise invalid(f"the {kind} has no name")
    if len(value) > _LONGEST_NAME or not value.isprintable():
        raise invalid(
            f"the name of the {kind} has more than {_LONGEST_NAME} characters, or unprintable characters"
        )
    return value
