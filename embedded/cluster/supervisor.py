"""The process that keeps a cluster's components running: `python -m embedded.cluster.supervisor NAME`.

It starts every component when its dependencies are ready, restarts it with exponential backoff when it
ends, writes the state to `processes.json`, rotates the logs, and on SIGTERM stops everything in order:
pods first, etcd last. All other decisions are made by `start`, `stop` and `delete` (lifecycle.py), which
also clean up after a supervisor that was killed.
"""

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from typing import Final

from embedded.cluster import network, records
from embedded.cluster.cgroups import Cgroups
from embedded.cluster.components import Component
from embedded.cluster.isolation import isolate
from embedded.cluster.paths import ClusterPaths
from embedded.cluster.probes import is_ready
from embedded.instance import Instance

FIRST_BACKOFF: Final = 0.2
MAX_BACKOFF: Final = 10.0
STABLE_AFTER: Final = 30.0
"""Seconds after which a running component is stable and its backoff is reset."""
LOG_LIMIT: Final = 8 * 1024 * 1024
POD_GRACE_PERIOD: Final = 10.0
STOPPING: Final = "stopping"
STOP_ORDER: Final = (
    ("kubelet",),
    ("forwards", "volumes", "coredns", "proxy", "scheduler", "controller-manager"),
    ("apiserver",),
    ("containerd",),
    ("etcd",),
)


def backoff(restarts: int) -> float:
    """Seconds to wait before the next start, after `restarts` consecutive exits."""
    return float(min(MAX_BACKOFF, FIRST_BACKOFF * 2 ** min(restarts, 10)))


class ComponentRunner:
    """Keeps one component running."""

    def __init__(self, component: Component, supervisor: "Supervisor") -> None:
        self.component = component
        self.state = records.ComponentState()
        self._supervisor = supervisor
        self._process: asyncio.subprocess.Process | None = None
        self._consecutive_exits = 0
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start the component, and restart it whenever it ends."""
        self._task = asyncio.create_task(self._keep(), name=self.component.name)

    async def end(self) -> None:
        """Stop the component: SIGTERM, wait, then SIGKILL."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self.component.patience)
        except TimeoutError:
            _log(f"{self.component.name} did not stop within {self.component.patience:.0f} s; killing it")
            process.kill()
            await process.wait()

    async def is_ready(self) -> bool:
        """Whether the component is ready."""
        return await is_ready(self.component, self.state.pid, self._supervisor.paths)

    async def _keep(self) -> None:
        while True:
            await self._supervisor.wait_for(self.component.after)
            started = time.monotonic()
            code = await self._run()
            self._consecutive_exits = (
                0 if time.monotonic() - started > STABLE_AFTER else self._consecutive_exits + 1
            )
            self.state.pid, self.state.last_exit = None, code
            self.state.restarts += 1
            self._supervisor.publish()
            _log(f"{self.component.name} exited with code {code}; restarting it")
            await asyncio.sleep(
                backoff(self._consecutive_exits - 1) if self._consecutive_exits else FIRST_BACKOFF
            )

    async def _run(self) -> int:
        paths = self._supervisor.paths
        prefix = network.enter_command(paths.instance) if self.component.network == "cluster" else []
        with paths.log(self.component.name).open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *prefix,
                *self.component.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.component.environment},
                start_new_session=True,
            )
        self.state.pid, self.state.since = self._process.pid, time.time()
        self._supervisor.publish()
        return await self._process.wait()


class Supervisor:
    """Keeps all components of a plan running until it is signalled to stop."""

    def __init__(self, plan: records.Plan, paths: ClusterPaths, cgroups: Cgroups) -> None:
        self.paths = paths
        self._digest = plan.digest
        self._cgroups = cgroups
        self._since = time.time()
        self._runners = {component.name: ComponentRunner(component, self) for component in plan.components}
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT, then stop everything in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        for runner in self._runners.values():
            runner.begin()
        rotation = asyncio.create_task(self._rotate_logs())
        await self._stopping.wait()
        rotation.cancel()
        await self._stop()

    async def wait_for(self, names: tuple[str, ...]) -> None:
        """Return when all named components are ready."""
        for name in names:
            while not await self._runners[name].is_ready():
                await asyncio.sleep(0.05)

    def publish(self) -> None:
        """Write the current state to `processes.json`."""
        lives = {name: runner.state for name, runner in self._runners.items()}
        records.write(
            self.paths.processes,
            records.Processes(pid=os.getpid(), since=self._since, digest=self._digest, lives=lives),
        )

    async def _stop(self) -> None:
        # A concurrent start must not treat this supervisor as running the current plan.
        self._digest = STOPPING
        self.publish()
        for names in STOP_ORDER:
            _log(f"stopping {', '.join(names)}")
            await asyncio.gather(*(self._runners[name].end() for name in names))
            if "kubelet" in names:
                await self._end_pods()
        self.paths.processes.unlink(missing_ok=True)

    async def _end_pods(self) -> None:
        """Send SIGTERM to all processes of pods, and SIGKILL after a grace period; containerd records it."""
        self._cgroups.kill(signal.SIGTERM, part="pods")
        deadline = time.monotonic() + POD_GRACE_PERIOD
        while self._cgroups.pids("pods") and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        self._cgroups.end(part="pods")

    async def _rotate_logs(self) -> None:
        """Keep one older copy of each log. Copies and truncates, because the writers keep the file open."""
        while True:
            for log in self.paths.instance.log.glob("*.log"):
                if log.stat().st_size > LOG_LIMIT:
                    shutil.copyfile(log, log.with_suffix(".log.1"))
                    os.truncate(log, 0)
            await asyncio.sleep(10)


def _log(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {line}", flush=True)


def main(name: str) -> None:
    """Supervise the instance `name` in the foreground."""
    paths = ClusterPaths(Instance(name))
    lock = records.acquire_lock(paths.supervisor)
    if lock is None:
        _log("another supervisor is running")
        sys.exit(1)
    plan = records.Plan.model_validate_json(paths.plan.read_bytes())
    cgroups = Cgroups.of(name)
    cgroups.join(os.getpid())
    isolate(paths)
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if sys.version_info < (3, 12):  # the default in later versions
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    asyncio.run(Supervisor(plan, paths, cgroups).run())
    _log("stopped")


if __name__ == "__main__":
    main(sys.argv[1])
