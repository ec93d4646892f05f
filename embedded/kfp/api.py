"""Routes of the v2beta1 API that `kfp.Client` 2.17 calls, and a few extensions.

Extensions: `GET /runs/{id}/tasks` (inputs and outputs of every task), `GET /runs/{id}/tasks/{task}/log`,
`GET /openapi.json` (the description of this API), and the page at `/`. There is no authentication, as
`healthz` reports.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount

from embedded.kfp import failures, openapi
from embedded.kfp.failures import ApiError
from embedded.kfp.guard import Guard
from embedded.kfp.handlers import Handlers
from embedded.kfp.operations import (
    FLAG,
    IDENTIFIER,
    LISTED,
    NAMESPACE,
    TEXT,
    Operation,
)
from embedded.kfp.requests import NewExperiment, NewPipeline, NewRun, Nothing
from embedded.kfp.service import Service

ROOT: Final = "/apis/v2beta1"
_UPLOAD: Final = {"name": TEXT, "display_name": TEXT, "description": TEXT}


def application(
    service: Service,
    data: Path,
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None,
    hosts: Iterable[str] = (),
) -> Starlette:
    """The ASGI application; `hosts` are its accepted host names (`guard`)."""
    handlers = Handlers(service, data)
    table = _table(handlers)

    def description(request: Request) -> Response:
        return JSONResponse(openapi.describe(ROOT, table))

    described = Operation("GET", "/openapi.json", description, described=False)
    return Starlette(
        routes=[
            Operation("GET", "/", handlers.overview).route(),
            Operation("GET", "/runs/{run}", handlers.run_page).route(),
            Mount(ROOT, routes=[operation.route() for operation in (*table, described)]),
        ],
        middleware=[Middleware(Guard, hosts=tuple(hosts))],
        exception_handlers={
            ApiError: failures.answer, HTTPException: failures.http_error,
            ClientDisconnect: failures.client_left, Exception: failures.server_error,
        },
        lifespan=lifespan,
    )  # fmt: skip


def _table(handlers: Handlers) -> list[Operation]:
    """The operations below /apis/v2beta1."""
    recurring = [
        Operation(method, path, handlers.recurring, described=False)
        for path in ("/recurringruns", "/recurringruns/{rest:path}")
        for method in ("GET", "POST", "DELETE")
    ]
    return [
        Operation("GET", "/healthz", handlers.health),
        *_pipelines(handlers),
        *_experiments(handlers),
        *_runs(handlers),
        *recurring,
    ]


def _pipelines(handlers: Handlers) -> list[Operation]:
    one, versions = "/pipelines/{pipeline}", "/pipelines/{pipeline}/versions"
    return [
        Operation("POST", "/pipelines/upload", handlers.upload_pipeline,
                  query={**_UPLOAD, "namespace": NAMESPACE}, upload=True),
        Operation("POST", "/pipelines/upload_version", handlers.upload_version,
                  query={**_UPLOAD, "pipelineid": IDENTIFIER}, upload=True),
        Operation("GET", "/pipelines", handlers.list_pipelines, query={**LISTED, "namespace": NAMESPACE}),
        Operation("POST", "/pipelines", handlers.create_pipeline, body=NewPipeline),
        Operation("GET", "/pipelines/names/{name}", handlers.pipeline_by_name,
                  query={"namespace": NAMESPACE}),
        Operation("GET", one, handlers.get_pipeline),
        Operation("DELETE", one, handlers.delete_pipeline, query={"cascade": FLAG}),
        Operation("GET", versions, handlers.list_versions, query=LISTED),
        Operation("GET", f"{versions}/{{version}}", handlers.get_version),
        Operation("DELETE", f"{versions}/{{version}}", handlers.delete_version),
    ]  # fmt: skip


def _experiments(handlers: Handlers) -> list[Operation]:
    one = "/experiments/{experiment}"
    return [
        Operation("GET", "/experiments", handlers.list_experiments, query={**LISTED, "namespace": NAMESPACE}),
        Operation("POST", "/experiments", handlers.create_experiment, body=NewExperiment),
        Operation("GET", one, handlers.get_experiment),
        Operation("DELETE", one, handlers.delete_experiment),
        Operation("POST", f"{one}:{{verb}}", handlers.experiment_verb, body=Nothing),
    ]


def _runs(handlers: Handlers) -> list[Operation]:
    one = "/runs/{run}"
    listed = {**LISTED, "namespace": NAMESPACE, "experiment_id": IDENTIFIER}
    # Upstream also accepts a deprecated experiment_id here and ignores it.
    of = {"experiment_id": IDENTIFIER}
    return [
        Operation("GET", "/runs", handlers.list_runs, query=listed),
        Operation("POST", "/runs", handlers.create_run, query=of, body=NewRun),
        Operation("GET", one, handlers.get_run, query=of),
        Operation("DELETE", one, handlers.delete_run, query=of),
        Operation("POST", f"{one}:{{verb}}", handlers.run_verb, query=of, body=Nothing),
        Operation("GET", f"{one}/tasks", handlers.list_tasks),
        Operation("GET", f"{one}/tasks/{{task:path}}/log", handlers.task_log),
    ]
