"""What each operation of the API does with a request: parse it, call the service, form the response."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response

from embedded.kfp import bodies, failures, page
from embedded.kfp.database import Row
from embedded.kfp.failures import precondition
from embedded.kfp.listing import LISTINGS
from embedded.kfp.listing import page as list_page
from embedded.kfp.operations import json_body, uploaded
from embedded.kfp.requests import NewExperiment, NewPipeline, NewRun, Nothing
from embedded.kfp.scheduler import log_path
from embedded.kfp.service import ARCHIVED, AVAILABLE, Service


class Handlers:
    """One method per operation."""

    def __init__(self, service: Service, data: Path) -> None:
        self._service = service
        self._database = service.database
        self._data = data

    def health(self, request: Request) -> Response:
        """Describe the server: it has no authentication."""
        return JSONResponse({
            "multi_user": False, "pipeline_store": "database", "authentication": "none",
            "steps": "processes of the server's pod; a step's image and resource limits are ignored",
        })  # fmt: skip

    async def upload_pipeline(self, request: Request) -> Response:
        """Create a pipeline with its first version from a file."""
        data, name = await uploaded(request)
        row = await run_in_threadpool(self._service.upload_pipeline, data, name, request.query_params)
        return JSONResponse(bodies.pipeline(row))

    async def upload_version(self, request: Request) -> Response:
        """Create a version of a pipeline from a file."""
        data, name = await uploaded(request)
        row = await run_in_threadpool(self._service.upload_version, data, name, request.query_params)
        return JSONResponse(bodies.version(row))

    async def create_pipeline(self, request: Request) -> Response:
        """Create a pipeline without a version."""
        body = await json_body(request, NewPipeline)
        row = await run_in_threadpool(
            self._service.create_pipeline,
            name=body.name or body.display_name or "",
            display_name=body.display_name or body.name or "",
            description=body.description or "",
            namespace=body.namespace or "",
        )
        return JSONResponse(bodies.pipeline(row))

    def list_pipelines(self, request: Request) -> Response:
        """List pipelines."""
        namespace = request.query_params.get("namespace")
        # Pipelines without a namespace are shared: they are listed for every namespace.
        namespaces = (namespace, "") if namespace else None
        return self._listed("pipelines", "pipelines", bodies.pipeline, request, namespace=namespaces)

    def pipeline_by_name(self, request: Request) -> Response:
        """Return the pipeline of a name, in its namespace or shared by all."""
        name, namespace = request.path_params["name"], request.query_params.get("namespace", "")
        row = self._database.find("pipelines", name=name, namespace=namespace)
        row = row or self._database.find("pipelines", name=name, namespace="")
        if row is None:
            raise failures.not_found("pipeline", name)
        return JSONResponse(bodies.pipeline(row))

    def get_pipeline(self, request: Request) -> Response:
        """Return a pipeline."""
        return JSONResponse(bodies.pipeline(self._service.get("pipelines", request.path_params["pipeline"])))

    def delete_pipeline(self, request: Request) -> Response:
        """Delete a pipeline, with `cascade` also its versions."""
        cascade = request.query_params.get("cascade", "").lower() == "true"
        self._service.delete_pipeline(request.path_params["pipeline"], cascade=cascade)
        return JSONResponse({})

    def list_versions(self, request: Request) -> Response:
        """List the versions of a pipeline."""
        pipeline = self._service.get("pipelines", request.path_params["pipeline"])
        return self._listed(
            "versions", "pipeline_versions", bodies.version, request, pipeline_id=pipeline["id"]
        )

    def get_version(self, request: Request) -> Response:
        """Return a version of a pipeline."""
        return JSONResponse(bodies.version(self._version(request)))

    def delete_version(self, request: Request) -> Response:
        """Delete a version of a pipeline."""
        self._service.delete("versions", self._version(request)["id"])
        return JSONResponse({})

    def list_experiments(self, request: Request) -> Response:
        """List experiments."""
        namespace = request.query_params.get("namespace") or None
        return self._listed("experiments", "experiments", bodies.experiment, request, namespace=namespace)

    async def create_experiment(self, request: Request) -> Response:
        """Create an experiment."""
        body = await json_body(request, NewExperiment)
        return JSONResponse(bodies.experiment(await run_in_threadpool(self._service.create_experiment, body)))

    def get_experiment(self, request: Request) -> Response:
        """Return an experiment."""
        return JSONResponse(
            bodies.experiment(self._service.get("experiments", request.path_params["experiment"]))
        )

    def delete_experiment(self, request: Request) -> Response:
        """Delete an experiment."""
        self._service.delete("experiments", request.path_params["experiment"])
        return JSONResponse({})

    async def experiment_verb(self, request: Request) -> Response:
        """Archive an experiment, or undo that."""
        await json_body(request, Nothing)
        experiment, verb = request.path_params["experiment"], request.path_params["verb"]
        await run_in_threadpool(self._store_verb, "experiments", experiment, verb)
        return JSONResponse({})

    def list_runs(self, request: Request) -> Response:
        """List runs."""
        query = request.query_params
        return self._listed(
            "runs", "runs", bodies.run, request,
            experiment_id=query.get("experiment_id") or None, namespace=query.get("namespace") or None,
        )  # fmt: skip

    async def create_run(self, request: Request) -> Response:
        """Start a run."""
        body = await json_body(request, NewRun)
        identifier = request.query_params.get("experiment_id", "")
        row = await run_in_threadpool(self._service.create_run, body, identifier)
        return JSONResponse(bodies.run(row))

    def get_run(self, request: Request) -> Response:
        """Return a run with the state of its tasks."""
        row = self._service.get("runs", request.path_params["run"])
        return JSONResponse(bodies.run(row, self._database.tasks(row["id"])))

    def delete_run(self, request: Request) -> Response:
        """Delete a run."""
        self._service.delete_run(request.path_params["run"])
        return JSONResponse({})

    async def run_verb(self, request: Request) -> Response:
        """Terminate a run, archive it, or undo that."""
        await json_body(request, Nothing)
        await run_in_threadpool(self._run_verb, request.path_params["run"], request.path_params["verb"])
        return JSONResponse({})

    def _run_verb(self, run: str, verb: str) -> None:
        if verb == "terminate":
            self._service.terminate(run)
        elif verb == "retry":
            raise precondition(
                "retrying a run is not supported: create a new run; cached steps are not run again"
            )
        else:
            self._store_verb("runs", run, verb)

    def list_tasks(self, request: Request) -> Response:
        """Return inputs and outputs of every task of a run."""
        run = self._service.get("runs", request.path_params["run"])
        outputs = json.loads(run["outputs"]) if run["outputs"] else {}
        tasks = [bodies.task_results(row) for row in self._database.tasks(run["id"])]
        return JSONResponse({"tasks": tasks, "outputs": outputs, "pipeline_root": run["pipeline_root"]})

    def task_log(self, request: Request) -> Response:
        """Return the log of a task."""
        row = self._service.find_task(request.path_params["run"], request.path_params["task"])
        path = log_path(self._data, row["run_id"], row["id"])
        if not path.exists():
            reason = "nothing ran: the cached outputs of an earlier task with the same inputs were used\n"
            return PlainTextResponse(reason if row["cached"] else "")
        return FileResponse(path, media_type="text/plain; charset=utf-8")

    def recurring(self, request: Request) -> Response:
        """Refuse everything about recurring runs."""
        raise precondition("recurring runs are not supported by this server")

    def overview(self, request: Request) -> Response:
        """Return the page that lists runs."""
        newest = list_page(
            self._database, LISTINGS["runs"], {"sort_by": "created_at desc", "page_size": "100"}
        )
        return HTMLResponse(page.overview(newest.rows, newest.total))

    def run_page(self, request: Request) -> Response:
        """Return the page of a run."""
        row = self._service.get("runs", request.path_params["run"])
        return HTMLResponse(page.run(row, self._database.tasks(row["id"])))

    def _version(self, request: Request) -> Row:
        return self._service.version(request.path_params["pipeline"], request.path_params["version"])

    def _store_verb(self, table: str, identifier: str, verb: str) -> None:
        state = {"archive": ARCHIVED, "unarchive": AVAILABLE}.get(verb)
        if state is None:
            raise failures.not_found("method", verb)
        self._service.set_storage_state(table, identifier, state)

    def _listed(
        self,
        kind: str,
        field: str,
        body: Callable[[Row], bodies.Body],
        request: Request,
        **equal: str | tuple[str, ...] | None,
    ) -> Response:
        listed = list_page(self._database, LISTINGS[kind], request.query_params, **equal)
        page_body: dict[str, Any] = {field: [body(row) for row in listed.rows], "total_size": listed.total}
        if listed.next_page_token:
            page_body["next_page_token"] = listed.next_page_token
        return JSONResponse(page_body)
