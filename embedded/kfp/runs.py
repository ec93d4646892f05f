"""The life of runs: started, terminated, and told truthfully after a restart.

A run whose server died while it ran is FAILED, with that as its reason: its steps died with the server, and
starting them again could repeat what they had done. A run that had not begun is started.
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
from embedded.kfp.objects import ArtifactStore, Location, StoreError
from embedded.kfp.outcome import FAILED
from embedded.kfp.processes import StepProcesses
from embedded.kfp.scheduler import RunContext, RunScheduler

_log: Final = logging.getLogger("embedded.kfp")
_STOP_SECONDS: Final = 20
LOST: Final = "the API server was stopped while this run was running; its steps were stopped with it"


class Runs:
    """Executes runs on a thread of its own. Methods may be called from any thread."""

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
        """Make it; `start` begins.

        Args:
            database: What is remembered.
            objects: Called once per run, for the launcher's configuration.
            data: Folder of the logs.
            work: Folder that the folders of steps are made in.
            processes: Runs the steps.
            workers: Steps that run at a time, over all runs.
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
        """Begin to execute; settle what an earlier server left."""
        for left in self._work.iterdir():
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
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
        """Stop every run as FAILED, kill their steps and end the thread."""
        for run_id, future in list(self._active.items()):
            future.cancel()
            self._end(run_id, FAILED, LOST)
        settled = asyncio.run_coroutine_threadsafe(_all_others_done(), self._loop)
        try:
            settled.result(_STOP_SECONDS)
        except TimeoutError:
            _log.warning("runs did not stop within %d s", _STOP_SECONDS)
        self._processes.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_SECONDS)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def submit(self, run_id: str) -> None:
        """Start a run that is in the database as PENDING."""
        future = asyncio.run_coroutine_threadsafe(self._execute(run_id), self._loop)
        self._active[run_id] = future
        future.add_done_callback(lambda _: self._active.pop(run_id, None))

    def terminate(self, run_id: str) -> bool:
        """Stop a run and kill its steps; say whether it was active."""
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
        except (LauncherConfigError, StoreError, parsing.UnsupportedError) as problem:
            state, error = FAILED, str(problem)
        except Exception as problem:  # noqa: BLE001 - a run must end, whatever happens to it
            _log.exception("run %s ended by an error of the server", run_id)
            state, error = FAILED, f"error of the server: {type(problem).__name__}; see its log"
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
        ended = await scheduler.run(json.loads(row["parameters"]))
        self._database.update(
            "runs", row["id"], outputs=json.dumps(ended.outputs.parameters), pipeline_root=root
        )
        return ended.state, ended.error

    def _end(self, run_id: str, state: str, error: str) -> None:
        try:
            self._database.end_tasks(run_id, "CANCELED" if state == "CANCELED" else FAILED, error)
            self._database.set_run_state(run_id, state, error=error)
        except sqlite3.Error:
            _log.exception("the end of run %s (%s) could not be recorded", run_id, state)


async def _all_others_done() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
