"""The server's entry point: options and composition.

In a cluster, the server reads `kfp-launcher` and its Secret from the namespace of each run as the pod's
ServiceAccount, which needs `get` on both. Elsewhere, `--launcher-config FILE` provides the same objects.
"""

import argparse
import asyncio
import logging
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette

from embedded.kfp.api import application
from embedded.kfp.connections import DeadlineProtocol, Limits, with_limits
from embedded.kfp.database import Database
from embedded.kfp.launcher_config import ClusterObjects, FileObjects, Objects
from embedded.kfp.processes import Control, Listening, Spawned, StepProcesses
from embedded.kfp.runs import Runs
from embedded.kfp.service import Service
from slipway.core.errors import SlipwayError, UsageError

_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_GRACE_SECONDS: Final = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server; return an exit code."""
    options = _parser().parse_args(arguments)
    os.umask(0o007)  # files of steps are accessible to their group only
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        app = build(options)
    except SlipwayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    uvicorn.run(
        app, host=options.host, port=options.port, log_level="warning", access_log=False,
        timeout_graceful_shutdown=_GRACE_SECONDS, timeout_keep_alive=30, server_header=False,
        http=_protocol(options), proxy_headers=False,
    )  # fmt: skip
    return 0


def build(options: argparse.Namespace) -> Starlette:
    """Create the application with its database and its runs."""
    data: Path = options.data
    try:
        data.mkdir(parents=True, exist_ok=True)
        database = Database(data / "kfp.sqlite")
    except (OSError, sqlite3.Error) as error:
        raise UsageError(
            f"{data} can't be used for the server's database.", why=str(error), fix="Set another --data."
        ) from error
    objects = _objects(options.launcher_config)
    work: Path = options.work or data / "work"
    work.mkdir(mode=0o750, exist_ok=True)
    runs = Runs(database, objects, data, work, StepProcesses(_control(options)), workers=options.workers)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(runs.start)
        yield
        await asyncio.to_thread(runs.stop)
        database.close()

    return application(Service(database, runs, options.namespace), data, lifespan, options.allow_host)


def _protocol(options: argparse.Namespace) -> type[DeadlineProtocol]:
    return with_limits(
        Limits(headers=options.header_seconds, body=options.body_seconds, connections=options.connections)
    )


def _control(options: argparse.Namespace) -> Control:
    if options.steps_socket is None:
        return Spawned([name for name in options.preload.split(",") if name])
    try:
        return Listening(options.steps_socket)
    except OSError as error:
        raise UsageError(
            f"The server can't listen at {options.steps_socket}.",
            why=str(error),
            fix="Set another --steps-socket.",
        ) from error


def _objects(launcher_config: Path | None) -> Callable[[], Objects]:
    if launcher_config is None:
        return cache(ClusterObjects)
    if not launcher_config.is_file():
        raise UsageError(
            f"There is no file {launcher_config}.", fix="Set --launcher-config to an existing file."
        )
    return lambda: FileObjects(launcher_config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m embedded.kfp", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path("/data"), help="folder for the database and the logs"
    )
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")
    parser.add_argument("--port", type=int, default=8888)
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="accepted host name, in addition to localhost and the server's address; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--header-seconds", type=float, default=Limits.headers, help="time limit for the headers of a request"
    )
    parser.add_argument(
        "--body-seconds", type=float, default=Limits.body, help="time limit for the body of a request"
    )
    parser.add_argument(
        "--connections", type=int, default=Limits.connections, help="limit of concurrent connections"
    )
    parser.add_argument(
        "--workers", type=int, default=max(2, os.cpu_count() or 2), help="number of concurrent steps"
    )
    parser.add_argument("--work", type=Path, help="folder for the files of steps (default: <data>/work)")
    parser.add_argument(
        "--steps-socket", type=Path, metavar="PATH",
        help="socket for the process that forks the steps (default: the server starts it)",
    )  # fmt: skip
    parser.add_argument(
        "--preload", default="pandas,sklearn.ensemble",
        help="comma-separated modules that the process started by the server loads for all steps",
    )  # fmt: skip
    parser.add_argument("--launcher-config", type=Path, help="YAML file with the ConfigMap and the Secret")
    parser.add_argument("--namespace", default=_own_namespace(), help="default namespace of requests")
    return parser


def _own_namespace() -> str:
    try:
        return _POD_NAMESPACE.read_text(encoding="utf-8").strip()
    except OSError:
        return "default"
