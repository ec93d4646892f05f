"""Routes of the v2beta1 API that `kfp.Client` 2.17 calls, and a few extensions.

Extensions: `GET /runs/{id}/tasks` (inputs and outputs of every task), `GET /runs/{id}/tasks/{task}/log`,
`GET /openapi.json` (the description of this API), and the page at `/`. There is no authentication, as
`healthz` reports.
"""

import json
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount

from embedded.kfp import bodies, failures, openapi, page
from embedded.kfp.database import Row
from embedded.kfp.failures import ApiError, precondition
from embedded.kfp.guard import Guard
from embedded.kfp.listing import LISTINGS
from embedded.kfp.listing import page as list_page
from embedded.kfp.operations import (
    FLAG,
    IDENTIFIER,
    LISTED,
    NAMESPACE,
    TEXT,
    Operation,
    json_body,
    uploaded,
)
from embedded.kfp.requests import NewExperiment, NewPipeline, NewRun, Nothing
from embedded.kfp.scheduler import log_path
from embedded.kfp.service import ARCHIVED, AVAILABLE, Service

ROOT: Final = "/apis/v2beta1"
_UPLOAD: Final = {"name": TEXT, "display_name": TEXT, "description": TEXT}


def application(
    service: Service,
    data: Path,
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None,
    hosts: Iterable[str] = (),
) -> Starlette:
    """The ASGI application; `hosts` are its accepted host names (`guard`)."""
    routes = _Routes(service, data)
    return Starlette(
        routes=[
            Operation("GET", "/", routes.overview).route(),
            Operation("GET", "/runs/{run}", routes.run_page).route(),
            Mount(ROOT, routes=[operation.route() for operation in routes.table()]),
        ],
        middleware=[Middleware(Guard, hosts=tuple(hosts))],
        exception_handlers={
            ApiError: failures.answer, HTTPException: failures.http_error,
            ClientDisconnect: failures.client_left, Exception: failures.server_error,
        },
        lifespan=lifespan,
    )  # fmt: skip


class _Routes:
    """One method per operation."""

    def __init__(self, service: Service, data: Path) -> None:
        self._service = service
        self._database = service.database
        self._data = data

    def table(self) -> list[Operation]:
        """The operations below /apis/v2beta1."""
        recurring = [
            Operation(method, path, self.recurring, described=False)
            for path in ("/recurringruns", "/recurringruns/{rest:path}")
            for method in ("GET", "POST", "DELETE")
        ]
        return [
            Operation("GET", "/healthz", self.health),
            Operation("GET", "/openapi.json", self.description, described=False),
            *self._pipelines(),
            *self._experiments(),
            *self._runs(),
            *recurring,
        ]

    def _pipelines(self) -> list[Operation]:
        one, versions = "/pipelines/{pipeline}", "/pipelines/{pipeline}/versions"
        return [
            Operation("POST", "/pipelines/upload", self.upload_pipeline,
                      query={**_UPLOAD, "namespace": NAMESPACE}, upload=True),
            Operation("POST", "/pipelines/upload_version", self.upload_version,
                      query={**_UPLOAD, "pipelineid": IDENTIFIER}, upload=True),
            Operation("GET", "/pipelines", self.list_pipelines, query={**LISTED, "namespace": NAMESPACE}),
            Operation("POST", "/pipelines", self.create_pipeline, body=NewPipeline),
            Operation("GET", "/pipelines/names/{name}", self.pipeline_by_name,
                      query={"namespace": NAMESPACE}),
            Operation("GET", one, self.get_pipeline),
            Operation("DELETE", one, self.delete_pipeline, query={"cascade": FLAG}),
            Operation("GET", versions, self.list_versions, query=LISTED),
            Operation("GET", f"{versions}/{{version}}", self.get_version),
            Operation("DELETE", f"{versions}/{{version}}", self.delete_version),
        ]  # fmt: skip

    def _experiments(self) -> list[Operation]:
        one = "/experiments/{experiment}"
        return [
            Operation("GET", "/experiments", self.list_experiments, query={**LISTED, "namespace": NAMESPACE}),
            Operation("POST", "/experiments", self.create_experiment, body=NewExperiment),
            Operation("GET", one, self.get_experiment),
            Operation("DELETE", one, self.delete_experiment),
            Operation("POST", f"{one}:{{verb}}", self.experiment_verb, body=Nothing),
        ]

    def _runs(self) -> list[Operation]:
        one = "/runs/{run}"
        listed = {**LISTED, "namespace": NAMESPACE, "experiment_id": IDENTIFIER}
        # Upstream also accepts a deprecated experiment_id here and ignores it.
        of = {"experiment_id": IDENTIFIER}
        return [
            Operation("GET", "/runs", self.list_runs, query=listed),
            Operation("POST", "/runs", self.create_run, query=of, body=NewRun),
            Operation("GET", one, self.get_run, query=of),
            Operation("DELETE", one, self.delete_run, query=of),
            Operation("POST", f"{one}:{{verb}}", self.run_verb, query=of, body=Nothing),
            Operation("GET", f"{one}/tasks", self.list_tasks),
            Operation("GET", f"{one}/tasks/{{task:path}}/log", self.task_log),
        ]

    def health(self, request: Request) -> Response:
        return JSONResponse({
            "multi_user": False, "pipeline_store": "database", "authentication": "none",
            "steps": "processes of the server's pod; a step's image and resource limits are ignored",
        })  # fmt: skip

    def description(self, request: Request) -> Response:
        return JSONResponse(openapi.describe(ROOT, self.table()))

    async def upload_pipeline(self, request: Request) -> Response:
        data, name = await uploaded(request)
        row = await run_in_threadpool(self._service.upload_pipeline, data, name, request.query_params)
        return JSONResponse(bodies.pipeline(row))

    async def upload_version(self, request: Request) -> Response:
        data, name = await uploaded(request)
        row = await run_in_threadpool(self._service.upload_version, data, name, request.query_params)
        return JSONResponse(bodies.version(row))

    async def create_pipeline(self, request: Request) -> Response:
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
        namespace = request.query_params.get("namespace")
        # Pipelines without a namespace are shared: they are listed for every namespace.
        namespaces = (namespace, "") if namespace else None
        return self._listed("pipelines", "pipelines", bodies.pipeline, request, namespace=namespaces)

    def pipeline_by_name(self, request: Request) -> Response:
        name, namespace = request.path_params["name"], request.query_params.get("namespace", "")
        row = self._database.find("pipelines", name=name, namespace=namespace)
        row = row or self._database.find("pipelines", name=name, namespace="")
        if row is None:
            raise failures.not_found("pipeline", name)
        return JSONResponse(bodies.pipeline(row))

    def get_pipeline(self, request: Request) -> Response:
        return JSONResponse(bodies.pipeline(self._service.get("pipelines", request.path_params["pipeline"])))

    def delete_pipeline(self, request: Request) -> Response:
        cascade = request.query_params.get("cascade", "").lower() == "true"
        self._service.delete_pipeline(request.path_params["pipeline"], cascade=cascade)
        return JSONResponse({})

    def list_versions(self, request: Request) -> Response:
        pipeline = self._service.get("pipelines", request.path_params["pipeline"])
        return self._listed(
            "versions", "pipeline_versions", bodies.version, request, pipeline_id=pipeline["id"]
        )

    def get_version(self, request: Request) -> Response:
        return JSONResponse(bodies.version(self._version(request)))

    def delete_version(self, request: Request) -> Response:
        self._service.delete("versions", self._version(request)["id"])
        return JSONResponse({})

    def list_experiments(self, request: Request) -> Response:
        namespace = request.query_params.get("namespace") or None
        return self._listed("experiments", "experiments", bodies.experiment, request, namespace=namespace)

    async def create_experiment(self, request: Request) -> Response:
        body = await json_body(request, NewExperiment)
        return JSONResponse(bodies.experiment(await run_in_threadpool(self._service.create_experiment, body)))

    def get_experiment(self, request: Request) -> Response:
        return JSONResponse(
            bodies.experiment(self._service.get("experiments", request.path_params["experiment"]))
        )

    def delete_experiment(self, request: Request) -> Response:
        self._service.delete("experiments", request.path_params["experiment"])
        return JSONResponse({})

    async def experiment_verb(self, request: Request) -> Response:
        await json_body(request, Nothing)
        experiment, verb = request.path_params["experiment"], request.path_params["verb"]
        await run_in_threadpool(self._store_verb, "experiments", experiment, verb)
        return JSONResponse({})

    def list_runs(self, request: Request) -> Response:
        query = request.query_params
        return self._listed(
            "runs", "runs", bodies.run, request,
            experiment_id=query.get("experiment_id") or None, namespace=query.get("namespace") or None,
        )  # fmt: skip

    async def create_run(self, request: Request) -> Response:
        body = await json_body(request, NewRun)
        identifier = request.query_params.get("experiment_id", "")
        row = await run_in_threadpool(self._service.create_run, body, identifier)
        return JSONResponse(bodies.run(row))

    def get_run(self, request: Request) -> Response:
        row = self._service.get("runs", request.path_params["run"])
        return JSONResponse(bodies.run(row, self._database.tasks(row["id"])))

    def delete_run(self, request: Request) -> Response:
        self._service.delete_run(request.path_params["run"])
        return JSONResponse({})

    async def run_verb(self, request: Request) -> Response:
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
        run = self._service.get("runs", request.path_params["run"])
        outputs = json.loads(run["outputs"]) if run["outputs"] else {}
        tasks = [bodies.task_results(row) for row in self._database.tasks(run["id"])]
        return JSONResponse({"tasks": tasks, "outputs": outputs, "pipeline_root": run["pipeline_root"]})

    def task_log(self, request: Request) -> Response:
        row = self._service.find_task(request.path_params["run"], request.path_params["task"])
        path = log_path(self._data, row["run_id"], row["id"])
        if not path.exists():
            reason = "nothing ran: the cached outputs of an earlier task with the same inputs were used\n"
            return PlainTextResponse(reason if row["cached"] else "")
        return FileResponse(path, media_type="text/plain; charset=utf-8")

    def recurring(self, request: Request) -> Response:
        raise precondition("recurring runs are not supported by this server")

    def overview(self, request: Request) -> Response:
        newest = list_page(
            self._database, LISTINGS["runs"], {"sort_by": "created_at desc", "page_size": "100"}
        )
        return HTMLResponse(page.overview(newest.rows, newest.total))

    def run_page(self, request: Request) -> Response:
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
