"""Routes of the v2beta1 API, as `kfp.Client` 2.17 calls them, and a few extensions.

Extensions: `GET /runs/{id}/tasks` (inputs and outputs of every task), `GET /runs/{id}/tasks/{task}/log`, and
the page at `/`. There is no authentication; `healthz` says so. No cross-origin headers are sent, so no web
page of another origin can read an answer.
"""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from embedded.kfp import bodies, failures, page
from embedded.kfp.database import Row
from embedded.kfp.document import MAX_BYTES
from embedded.kfp.failures import INVALID_ARGUMENT, ApiError, invalid, precondition
from embedded.kfp.listing import Listing
from embedded.kfp.listing import page as list_page
from embedded.kfp.scheduler import log_path
from embedded.kfp.service import ARCHIVED, AVAILABLE, Service

_ENVELOPE: Final = 1024 * 1024
"""What a request may hold around a pipeline file."""

_COMMON: Final = {"display_name": "display_name", "name": "display_name", "created_at": "created_at",
                  "description": "description", "namespace": "namespace"}  # fmt: skip
_LISTINGS: Final = {
    "pipelines": Listing("pipelines", {**_COMMON, "name": "name", "id": "id", "pipeline_id": "id"}),
    "versions": Listing(
        "versions",
        {"display_name": "display_name", "name": "name", "created_at": "created_at",
         "description": "description", "id": "id", "pipeline_version_id": "id"},
    ),
    "experiments": Listing("experiments", {**_COMMON, "id": "id", "experiment_id": "id",
                                           "storage_state": "storage_state",
                                           "last_run_created_at": "last_run_created_at"}),
    "runs": Listing("runs", {**_COMMON, "id": "id", "run_id": "id", "experiment_id": "experiment_id",
                             "storage_state": "storage_state", "state": "state", "finished_at": "finished_at",
                             "service_account": "service_account", "scheduled_at": "created_at",
                             "pipeline_version_id": "version_id"}),
}  # fmt: skip


def application(
    service: Service,
    data: Path,
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None,
) -> Starlette:
    """The ASGI application."""
    routes = _Routes(service, data)
    return Starlette(
        routes=[Route("/", routes.overview), Route("/runs/{run}", routes.run_page),
                Mount("/apis/v2beta1", routes=routes.table())],
        exception_handlers={ApiError: failures.answer, HTTPException: _http_error, Exception: _server_error},
        lifespan=lifespan,
    )  # fmt: skip


class _Routes:
    """One method per route; plain methods run on a thread, so that sqlite never holds up the event loop."""

    def __init__(self, service: Service, data: Path) -> None:
        self._service = service
        self._database = service.database
        self._data = data

    def table(self) -> list[Route]:
        """Everything below /apis/v2beta1."""
        return [
            Route("/healthz", self.health),
            Route("/pipelines/upload", self.upload_pipeline, methods=["POST"]),
            Route("/pipelines/upload_version", self.upload_version, methods=["POST"]),
            Route("/pipelines", self.list_pipelines),
            Route("/pipelines", self.create_pipeline, methods=["POST"]),
            Route("/pipelines/names/{name}", self.pipeline_by_name),
            Route("/pipelines/{pipeline}", self.get_pipeline),
            Route("/pipelines/{pipeline}", self.delete_pipeline, methods=["DELETE"]),
            Route("/pipelines/{pipeline}/versions", self.list_versions),
            Route("/pipelines/{pipeline}/versions/{version}", self.get_version),
            Route("/pipelines/{pipeline}/versions/{version}", self.delete_version, methods=["DELETE"]),
            Route("/experiments", self.list_experiments),
            Route("/experiments", self.create_experiment, methods=["POST"]),
            Route("/experiments/{experiment}", self.get_experiment),
            Route("/experiments/{experiment}", self.delete_experiment, methods=["DELETE"]),
            Route("/experiments/{experiment}:{verb}", self.experiment_verb, methods=["POST"]),
            Route("/runs", self.list_runs),
            Route("/runs", self.create_run, methods=["POST"]),
            Route("/runs/{run}", self.get_run),
            Route("/runs/{run}", self.delete_run, methods=["DELETE"]),
            Route("/runs/{run}:{verb}", self.run_verb, methods=["POST"]),
            Route("/runs/{run}/tasks", self.list_tasks),
            Route("/runs/{run}/tasks/{task:path}/log", self.task_log),
            Route("/recurringruns", self.recurring, methods=["GET", "POST"]),
            Route("/recurringruns/{rest:path}", self.recurring, methods=["GET", "POST", "DELETE"]),
        ]

    def health(self, request: Request) -> Response:
        return JSONResponse({
            "multi_user": False, "pipeline_store": "database", "authentication": "none",
            "steps": "processes of the server's pod; a step's image and resource limits are ignored",
        })  # fmt: skip

    async def upload_pipeline(self, request: Request) -> Response:
        data, name = await _uploaded(request)
        row = await run_in_threadpool(self._service.upload_pipeline, data, name, request.query_params)
        return JSONResponse(bodies.pipeline(row))

    async def upload_version(self, request: Request) -> Response:
        data, name = await _uploaded(request)
        row = await run_in_threadpool(self._service.upload_version, data, name, request.query_params)
        return JSONResponse(bodies.version(row))

    async def create_pipeline(self, request: Request) -> Response:
        body = await _json_body(request)
        row = await run_in_threadpool(
            self._service.create_pipeline,
            name=body.get("name") or body.get("display_name") or "",
            display_name=body.get("display_name") or body.get("name") or "",
            description=body.get("description") or "",
            namespace=body.get("namespace") or "",
        )
        return JSONResponse(bodies.pipeline(row))

    def list_pipelines(self, request: Request) -> Response:
        namespace = request.query_params.get("namespace") or None
        # Pipelines uploaded without a namespace are shared: they are listed for every one.
        if namespace is not None and not self._database.find("pipelines", namespace=namespace):
            namespace = ""
        return self._listed("pipelines", "pipelines", bodies.pipeline, request, namespace=namespace)

    def pipeline_by_name(self, request: Request) -> Response:
        name = request.path_params["name"]
        row = self._database.find("pipelines", name=name, namespace=request.query_params.get("namespace", ""))
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
        row = await run_in_threadpool(self._service.create_experiment, await _json_body(request))
        return JSONResponse(bodies.experiment(row))

    def get_experiment(self, request: Request) -> Response:
        return JSONResponse(
            bodies.experiment(self._service.get("experiments", request.path_params["experiment"]))
        )

    def delete_experiment(self, request: Request) -> Response:
        self._service.delete("experiments", request.path_params["experiment"])
        return JSONResponse({})

    def experiment_verb(self, request: Request) -> Response:
        self._store_verb("experiments", request.path_params["experiment"], request.path_params["verb"])
        return JSONResponse({})

    def list_runs(self, request: Request) -> Response:
        query = request.query_params
        return self._listed(
            "runs", "runs", bodies.run, request,
            experiment_id=query.get("experiment_id") or None, namespace=query.get("namespace") or None,
        )  # fmt: skip

    async def create_run(self, request: Request) -> Response:
        row = await run_in_threadpool(self._service.create_run, await _json_body(request))
        return JSONResponse(bodies.run(row))

    def get_run(self, request: Request) -> Response:
        row = self._service.get("runs", request.path_params["run"])
        return JSONResponse(bodies.run(row, self._database.tasks(row["id"])))

    def delete_run(self, request: Request) -> Response:
        self._service.delete_run(request.path_params["run"])
        return JSONResponse({})

    def run_verb(self, request: Request) -> Response:
        run, verb = request.path_params["run"], request.path_params["verb"]
        if verb == "terminate":
            self._service.terminate(run)
        elif verb == "retry":
            raise precondition(
                "retrying a run is not supported: create a new one, cached steps are not run again"
            )
        else:
            self._store_verb("runs", run, verb)
        return JSONResponse({})

    def list_tasks(self, request: Request) -> Response:
        run = self._service.get("runs", request.path_params["run"])
        outputs = json.loads(run["outputs"]) if run["outputs"] else {}
        tasks = [bodies.task_results(row) for row in self._database.tasks(run["id"])]
        return JSONResponse({"tasks": tasks, "outputs": outputs, "pipeline_root": run["pipeline_root"]})

    def task_log(self, request: Request) -> Response:
        row = self._service.find_task(request.path_params["run"], request.path_params["task"])
        path = log_path(self._data, row["run_id"], row["id"])
        if not path.exists():
            said = "outputs of an earlier task with the same inputs were used; nothing ran\n"
            return PlainTextResponse(said if row["cached"] else "")
        return FileResponse(path, media_type="text/plain; charset=utf-8", headers=_INERT)

    def recurring(self, request: Request) -> Response:
        raise precondition("recurring runs are not supported by this server")

    def overview(self, request: Request) -> Response:
        shown = list_page(
            self._database, _LISTINGS["runs"], {"sort_by": "created_at desc", "page_size": "100"}
        )
        return HTMLResponse(page.overview(shown.rows, shown.total), headers=_INERT)

    def run_page(self, request: Request) -> Response:
        row = self._service.get("runs", request.path_params["run"])
        return HTMLResponse(page.run(row, self._database.tasks(row["id"])), headers=_INERT)

    def _version(self, request: Request) -> Row:
        return self._service.version(request.path_params["pipeline"], request.path_params["version"])

    def _store_verb(self, table: str, identifier: str, verb: str) -> None:
        state = {"archive": ARCHIVED, "unarchive": AVAILABLE}.get(verb)
        if state is None:
            raise failures.not_found("method", verb)
        self._service.set_storage_state(table, identifier, state)

    def _listed(
        self, kind: str, field: str, body: Callable[[Row], bodies.Body], request: Request, **equal: str | None
    ) -> Response:
        found = list_page(self._database, _LISTINGS[kind], request.query_params, **equal)
        answer: dict[str, Any] = {field: [body(row) for row in found.rows], "total_size": found.total}
        if found.next_page_token:
            answer["next_page_token"] = found.next_page_token
        return JSONResponse(answer)


_INERT: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",
}


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise ApiError(INVALID_ARGUMENT, f"the request has more than {limit} bytes", status=413)
        yield chunk


async def _json_body(request: Request) -> dict[str, Any]:
    data = b"".join([chunk async for chunk in _limited(request, MAX_BYTES + _ENVELOPE)])
    try:
        body = await run_in_threadpool(json.loads, data)
    except (ValueError, RecursionError) as error:
        raise invalid("the request's body is not JSON") from error
    if not isinstance(body, dict):
        raise invalid("the request's body is not a JSON object")
    return body


async def _uploaded(request: Request) -> tuple[bytes, str]:
    """The file of a multipart upload and its name."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise invalid("expected multipart/form-data with a file in field 'uploadfile'")
    parser = MultiPartParser(
        request.headers, _limited(request, MAX_BYTES + _ENVELOPE), max_files=1, max_fields=10
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise invalid("the multipart body can't be read") from error
    try:
        file = form.get("uploadfile")
        if not isinstance(file, UploadFile):
            raise invalid("the request has no file in field 'uploadfile'")
        return await file.read(), file.filename or ""
    finally:
        await form.close()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = failures.NOT_FOUND if error.status_code == 404 else failures.FAILED_PRECONDITION
    return JSONResponse(failures.body(code, error.detail), status_code=error.status_code)


async def _server_error(request: Request, error: Exception) -> Response:
    # The traceback is in the server's log; what an error holds is not for the caller.
    return JSONResponse(
        failures.body(failures.INTERNAL, "internal error; see the server's log"), status_code=500
    )
