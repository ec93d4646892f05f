"""The life cycle of runs: start, terminate, and recovery after a restart.

A run that was running when the server stopped becomes FAILED with that reason: its steps were killed with the
server, and restarting them could repeat their effects. A pending run is started.
"""

import asyncio
import json
import logging
import shutil
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from embedded.kfp import document, parsing
from embedded.kfp.database import Database, Row
from embedded.kfp.launcher import Launcher
from embedded.kfp.launcher_config import LauncherConfig, LauncherConfigError, Objects
from embedded.kfp.objects import ArtifactStore, ArtifactStoreError, Location
from embedded.kfp.outcome import FAILED
from embedded.kfp.processes import StepProcesses
from embedded.kfp.scheduler import RunContext, RunScheduler
from embedded.kfp.unsupported import UnsupportedError

_log: Final = logging.getLogger("embedded.kfp")
_STOP_SECONDS: Final = 20
LOST: Final = "the API server was stopped while this run was running; its steps were killed"


class Runs:
    """Executes runs in its own thread. Methods may be called from any thread."""

    def __init__(
        self,
        database: Database,
        objects: Callable[[], Objects],
        data: Path,
        work: Path,
        processes: StepProcesses,
        *,
        workers: int,
    ) -> None:
        """Prepare; `start` begins to execute runs.

        Args:
            database: State of the server.
            objects: Called once per run, for the launcher's configuration.
            data: Folder for the logs.
            work: Folder for the working folders of steps.
            processes: Runs the steps.
            workers: Number of concurrent steps over all runs.
        """
        self._database = database
        self._objects = objects
        self._data = data
        self._slots = asyncio.Semaphore(workers)
        self._threads = ThreadPoolExecutor(workers + 4, thread_name_prefix="transfer")
        self._work = work
        self._processes = processes
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="scheduler", daemon=True)
        self._active: dict[str, Future[None]] = {}

    def start(self) -> None:
        """Begin to execute runs; recover those of an earlier server process."""
        for leftover in self._work.iterdir():
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
        self._processes.start()
        self._thread.start()
        for run in self._database.select(
            "SELECT id, state FROM runs WHERE state IN ('PENDING', 'RUNNING', 'CANCELING') "
            "ORDER BY created_at"
        ):
            match run["state"]:
                case "PENDING":
                    self.submit(run["id"])
                case "RUNNING":
                    self._end(run["id"], FAILED, LOST)
                case "CANCELING":
                    self._end(run["id"], "CANCELED", "terminated")

    def stop(self) -> None:
        """Set every run to FAILED, kill its steps, and stop the thread."""
        for run_id, future in list(self._active.items()):
            future.cancel()
            self._end(run_id, FAILED, LOST)
        done = asyncio.run_coroutine_threadsafe(_all_others_done(), self._loop)
        try:
            done.result(_STOP_SECONDS)
        except TimeoutError:
            _log.warning("runs did not stop within %d s", _STOP_SECONDS)
        self._processes.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_SECONDS)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def submit(self, run_id: str) -> None:
        """Start a run that is PENDING in the database."""
        future = asyncio.run_coroutine_threadsafe(self._execute(run_id), self._loop)
        self._active[run_id] = future
        future.add_done_callback(lambda _: self._active.pop(run_id, None))

    def terminate(self, run_id: str) -> bool:
        """Stop a run and kill its steps; return whether it was active."""
        if not self._database.set_run_state(run_id, "CANCELING", only_from=("PENDING", "RUNNING")):
            return False
        future = self._active.get(run_id)
        if future is None or future.cancel():
            self._end(run_id, "CANCELED", "terminated")
        return True

    async def _execute(self, run_id: str) -> None:
        row = self._database.find("runs", id=run_id)
        if row is None or not self._database.set_run_state(run_id, "RUNNING", only_from=("PENDING",)):
            return
        try:
            state, error = await self._run(row)
        except asyncio.CancelledError:
            raise
        except (LauncherConfigError, ArtifactStoreError, UnsupportedError) as error_raised:
            state, error = FAILED, str(error_raised)
        except Exception as error_raised:  # noqa: BLE001 - a run must always end
            _log.exception("run %s failed with an internal error", run_id)
            state, error = FAILED, f"internal error of the server: {type(error_raised).__name__}; see its log"
        finally:
            shutil.rmtree(self._work / run_id, ignore_errors=True)
        self._end(run_id, state, error)

    async def _run(self, row: Row) -> tuple[str, str]:
        pipeline = parsing.parse(document.from_api(json.loads(row["spec"])))
        config = await self._loop.run_in_executor(
            self._threads, LauncherConfig, self._objects(), row["namespace"]
        )
        root = row["pipeline_root"] or pipeline.default_root or config.pipeline_root
        if not root:
            raise LauncherConfigError(
                f"no pipeline root: kfp-launcher in {row['namespace']!r} has no defaultPipelineRoot"
            )
        root = Location.parse(root).uri.rstrip("/")
        context = RunContext(row["id"], pipeline, root, self._data, self._work, row["created_at"])
        launcher = Launcher(ArtifactStore(config), self._processes, self._threads)
        scheduler = RunScheduler(context, self._database, launcher, self._slots)
        result = await scheduler.run(json.loads(row["parameters"]))
        self._database.update(
            "runs", row["id"], outputs=json.dumps(result.outputs.parameters), pipeline_root=root
        )
        return result.state, result.error

    def _end(self, run_id: str, state: str, error: str) -> None:
        try:
            self._database.end_tasks(run_id, "CANCELED" if state == "CANCELED" else FAILED, error)
            self._database.set_run_state(run_id, state, error=error)
        except sqlite3.Error:
            _log.exception("the end of run %s (%s) could not be recorded", run_id, state)


async def _all_others_done() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
