"""The server as a program: its options, its parts put together.

In a cluster it reads `kfp-launcher` and its Secret from the namespace of each run with the pod's
ServiceAccount, which needs `get` on those two. Outside one, `--launcher-config FILE` gives the same objects.
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
from embedded.kfp.database import Database
from embedded.kfp.launcher_config import ClusterObjects, FileObjects, Objects
from embedded.kfp.runs import Runs
from embedded.kfp.service import Service
from storage.errors import SlipwayError, UsageError

_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_GRACE_SECONDS: Final = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server; return an exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        app = build(options)
    except SlipwayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    uvicorn.run(
        app, host=options.host, port=options.port, log_level="warning", access_log=False,
        timeout_graceful_shutdown=_GRACE_SECONDS, timeout_keep_alive=30, server_header=False,
    )  # fmt: skip
    return 0


def build(options: argparse.Namespace) -> Starlette:
    """The application with its database and its runs."""
    data: Path = options.data
    try:
        data.mkdir(parents=True, exist_ok=True)
        database = Database(data / "kfp.sqlite")
    except (OSError, sqlite3.Error) as error:
        raise UsageError(
            f"{data} can't hold the server's database.", why=str(error), fix="Give another --data."
        ) from error
    preload = [name for name in options.preload.split(",") if name]
    objects = _objects(options.launcher_config)
    runs = Runs(database, objects, data, workers=options.workers, preload=preload)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(runs.start)
        yield
        await asyncio.to_thread(runs.stop)
        database.close()

    return application(Service(database, runs, options.namespace), data, lifespan)


def _objects(launcher_config: Path | None) -> Callable[[], Objects]:
    if launcher_config is None:
        return cache(ClusterObjects)
    if not launcher_config.is_file():
        raise UsageError(
            f"There is no file {launcher_config}.", fix="Give --launcher-config a file that exists."
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
        "--workers", type=int, default=max(2, os.cpu_count() or 2), help="steps that run at a time"
    )
    parser.add_argument(
        "--preload", default="pandas,sklearn.ensemble", help="modules loaded once for all steps, with commas"
    )
    parser.add_argument("--launcher-config", type=Path, help="YAML file with the ConfigMap and the Secret")
    parser.add_argument("--namespace", default=_own_namespace(), help="namespace of requests that name none")
    return parser


def _own_namespace() -> str:
    try:
        return _POD_NAMESPACE.read_text(encoding="utf-8").strip()
    except OSError:
        return "default"
