"""The process that keeps a cluster's components running: `python -m embedded.cluster.supervisor NAME`.

It starts every component as soon as what it needs answers, starts it again with a growing pause
when it ends, writes what it runs to `processes.json`, caps the logs, and on SIGTERM stops
everything in order: pods first, etcd last. It decides nothing else; `start`, `stop` and `delete`
(lifecycle.py) do, and they also clean up after a supervisor that was killed.
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
from embedded.cluster.places import Places
from embedded.cluster.probes import answers
from embedded.instance import Instance

FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 10.0
STEADY: Final = 30.0
"""Seconds after which a component counts as healthy again and its pause starts anew."""
LOG_LIMIT: Final = 8 * 1024 * 1024
POD_GRACE: Final = 10.0
STOPPING: Final = "stopping"
STOP_ORDER: Final = (
    ("kubelet",),
    ("forwards", "volumes", "coredns", "proxy", "scheduler", "controller-manager"),
    ("apiserver",),
    ("containerd",),
    ("etcd",),
)


def pause_after(restarts: int) -> float:
    """Seconds to wait before the next start, after `restarts` ends in a row."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(restarts, 10)))


class Keeper:
    """Keeps one component running."""

    def __init__(self, component: Component, supervisor: "Supervisor") -> None:
        self.component = component
        self.life = records.Life()
        self._supervisor = supervisor
        self._process: asyncio.subprocess.Process | None = None
        self._in_a_row = 0
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start, and start again whenever it ends."""
        self._task = asyncio.create_task(self._keep(), name=self.component.name)

    async def end(self) -> None:
        """Stop it for good: ask, wait, insist."""
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
            _say(f"{self.component.name} did not end in {self.component.patience:.0f} s; killing it")
            process.kill()
            await process.wait()

    async def answers(self) -> bool:
        """Whether it answers now."""
        return await answers(self.component, self.life.pid, self._supervisor.places)

    async def _keep(self) -> None:
        while True:
            await self._supervisor.wait_for(self.component.after)
            begun = time.monotonic()
            code = await self._run()
            self._in_a_row = 0 if time.monotonic() - begun > STEADY else self._in_a_row + 1
            self.life.pid, self.life.last_exit = None, code
            self.life.restarts += 1
            self._supervisor.publish()
            _say(f"{self.component.name} ended with {code}; starting it again")
            await asyncio.sleep(pause_after(self._in_a_row - 1) if self._in_a_row else FIRST_PAUSE)

    async def _run(self) -> int:
        places = self._supervisor.places
        prefix = network.entering(places.instance) if self.component.network == "cluster" else []
        with places.log(self.component.name).open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *prefix,
                *self.component.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.component.environment},
                start_new_session=True,
            )
        self.life.pid, self.life.since = self._process.pid, time.time()
        self._supervisor.publish()
        return await self._process.wait()


class Supervisor:
    """Keeps all components of one plan running until it is told to stop."""

    def __init__(self, plan: records.Plan, places: Places, cgroups: Cgroups) -> None:
        self.places = places
        self._digest = plan.digest
        self._cgroups = cgroups
        self._since = time.time()
        self._keepers = {component.name: Keeper(component, self) for component in plan.components}
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT, then stop everything in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        for keeper in self._keepers.values():
            keeper.begin()
        capping = asyncio.create_task(self._cap_logs())
        await self._stopping.wait()
        capping.cancel()
        await self._stop()

    async def wait_for(self, names: tuple[str, ...]) -> None:
        """Return once every named component answers."""
        for name in names:
            while not await self._keepers[name].answers():
                await asyncio.sleep(0.05)

    def publish(self) -> None:
        """Write what runs now."""
        lives = {name: keeper.life for name, keeper in self._keepers.items()}
        records.write(
            self.places.processes,
            records.Processes(pid=os.getpid(), since=self._since, digest=self._digest, lives=lives),
        )

    async def _stop(self) -> None:
        # A start that comes now must not take this supervisor for one that keeps running.
        self._digest = STOPPING
        self.publish()
        for names in STOP_ORDER:
            _say(f"stopping {', '.join(names)}")
            await asyncio.gather(*(self._keepers[name].end() for name in names))
            if "kubelet" in names:
                await self._end_pods()
        self.places.processes.unlink(missing_ok=True)

    async def _end_pods(self) -> None:
        """Ask every process of every pod to end, and kill what stays; containerd takes note of it."""
        self._cgroups.kill(signal.SIGTERM, part="pods")
        deadline = time.monotonic() + POD_GRACE
        while self._cgroups.pids("pods") and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        self._cgroups.end(part="pods")

    async def _cap_logs(self) -> None:
        """Keep one older copy of each log. Copied and cut, for the writers hold the file open."""
        while True:
            for log in self.places.instance.log.glob("*.log"):
                if log.stat().st_size > LOG_LIMIT:
                    shutil.copyfile(log, log.with_suffix(".log.1"))
                    os.truncate(log, 0)
            await asyncio.sleep(10)


def _say(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {line}", flush=True)


def main(name: str) -> None:
    """Supervise the instance `name` in the foreground."""
    places = Places(Instance(name))
    lock = records.hold(places.supervisor)
    if lock is None:
        _say("another supervisor runs")
        sys.exit(1)
    plan = records.Plan.model_validate_json(places.plan.read_bytes())
    cgroups = Cgroups.of(name)
    cgroups.join(os.getpid())
    isolate(places)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if sys.version_info < (3, 12):  # later ones do so by themselves
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    asyncio.run(Supervisor(plan, places, cgroups).run())
    _say("stopped")


if __name__ == "__main__":
    main(sys.argv[1])
