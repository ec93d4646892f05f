"""Bodies of the API's responses, built from database rows. Pure."""

import json
from typing import Any

from embedded.kfp.database import Row

Body = dict[str, Any]
_UNKNOWN = 2


def experiment(row: Row) -> Body:
    """V2beta1Experiment."""
    return _present(
        experiment_id=row["id"],
        display_name=row["display_name"],
        description=row["description"],
        namespace=row["namespace"],
        created_at=row["created_at"],
        storage_state=row["storage_state"],
        last_run_created_at=row["last_run_created_at"],
    )


def pipeline(row: Row) -> Body:
    """V2beta1Pipeline."""
    return _present(
        pipeline_id=row["id"],
        name=row["name"],
        display_name=row["display_name"],
        description=row["description"],
        namespace=row["namespace"],
        created_at=row["created_at"],
    )


def version(row: Row) -> Body:
    """V2beta1PipelineVersion."""
    return _present(
        pipeline_id=row["pipeline_id"],
        pipeline_version_id=row["id"],
        name=row["name"],
        display_name=row["display_name"],
        description=row["description"],
        code_source_url=row["code_source_url"],
        created_at=row["created_at"],
        pipeline_spec=json.loads(row["spec"]),
    )


def run(row: Row, tasks: list[Row] | None = None) -> Body:
    """V2beta1Run, with its tasks when a single run is requested."""
    details = None if tasks is None else {"task_details": [task(one) for one in tasks]}
    by_version = {"pipeline_id": row["pipeline_id"], "pipeline_version_id": row["version_id"]}
    return _present(
        run_id=row["id"],
        experiment_id=row["experiment_id"],
        display_name=row["display_name"],
        description=row["description"],
        storage_state=row["storage_state"],
        pipeline_version_reference=by_version if row["version_id"] else None,
        pipeline_spec=None if row["version_id"] else json.loads(row["spec"]),
        runtime_config={"parameters": json.loads(row["parameters"]), "pipeline_root": row["pipeline_root"]},
        service_account=row["service_account"],
        created_at=row["created_at"],
        scheduled_at=row["created_at"],
        finished_at=row["finished_at"],
        state=row["state"],
        error=_error(row["error"]),
        run_details=details,
        state_history=[
            {**entry, "error": _error(row["error"])} if entry["state"] == "FAILED" else entry
            for entry in json.loads(row["history"])
        ],
    )


def task(row: Row) -> Body:
    """V2beta1PipelineTaskDetail. `display_name` is the task's name, unique only within its DAG."""
    return _present(
        run_id=row["run_id"],
        task_id=row["id"],
        display_name=row["name"],
        parent_task_id=row["parent_id"],
        create_time=row["created_at"],
        start_time=row["started_at"],
        end_time=row["ended_at"],
        state=row["state"],
        error=_error(row["error"]),
    )


def task_results(row: Row) -> Body:
    """Extension: inputs and outputs of a task, which upstream keeps in another service."""
    return {
        **task(row),
        "path": row["path"],
        "kind": row["kind"],
        "attempts": row["attempts"],
        "cached": bool(row["cached"]),
        "inputs": json.loads(row["inputs"]) if row["inputs"] else None,
        "outputs": json.loads(row["outputs"]) if row["outputs"] else None,
    }


def _error(message: str | None) -> Body | None:
    return {"code": _UNKNOWN, "message": message} if message else None


def _present(**fields: Any) -> Body:  # noqa: ANN401 - JSON values
    return {name: value for name, value in fields.items() if value is not None}
