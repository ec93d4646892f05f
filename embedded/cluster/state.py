"""The status and logs of a local cluster. Read-only; works without an API server."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from embedded.cluster import forwards, records
from embedded.cluster.cgroups import Cgroups
from embedded.cluster.forwards import Forward
from embedded.cluster.lifecycle import has_leftovers
from embedded.cluster.paths import ClusterPaths
from embedded.instance import Instance
from slipway.core.errors import UsageError

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class StatusModel(BaseModel):
    """Base of the models that are printed as JSON: strict and frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProcessStatus(StatusModel):
    """A process of the cluster."""

    name: str
    pid: int | None = Field(description="None while it waits to be restarted.")
    uptime: float = Field(description="Seconds since the last start; 0 if it is not running.")
    restarts: int
    rss: int = Field(description="Resident memory in bytes, including shared pages.")


class ClusterStatus(StatusModel):
    """The output of `slipway local status`."""

    name: str
    state: Literal["running", "stopped", "absent", "broken"]
    processes: tuple[ProcessStatus, ...] = ()
    memory: int = Field(default=0, description="Anonymous memory of all processes, in bytes.")
    pods_memory: int = Field(default=0, description="The part of `memory` that pods use.")
    data: Path
    kubeconfig: Path
    addresses: str | None = Field(default=None, description="The address slice; None before the first start.")
    ports: dict[str, int] = Field(default_factory=dict, description="On 127.0.0.1.")
    forwards: tuple[Forward, ...] = ()


def status(instance: Instance) -> ClusterStatus:
    """The status of the instance; does not allocate addresses.

    `running`: the supervisor is running. `broken`: it is not, but left resources behind, which the next
    start removes. `stopped`: only data exists. `absent`: nothing exists.
    """
    paths = ClusterPaths(instance)
    common = {"name": instance.name, "data": instance.data, "kubeconfig": instance.kubeconfig}
    if instance.recorded() is None:
        return ClusterStatus(state="broken" if has_leftovers(paths) else "absent", **common)
    common.update(
        addresses=str(instance.addresses.slice),
        ports=vars(instance.ports),
        forwards=forwards.read(paths.forwards),
    )
    if records.supervisor_pid(paths.supervisor) is None:
        return ClusterStatus(state="broken" if has_leftovers(paths) else "stopped", **common)
    cgroups = Cgroups.of(instance.name)
    recorded = records.read_processes(paths.processes)
    return ClusterStatus(
        state="running",
        processes=tuple(_processes(recorded)) if recorded else (),
        memory=cgroups.memory(),
        pods_memory=cgroups.memory("pods"),
        **common,
    )


def logs(instance: Instance, name: str | None = None) -> dict[str, Path]:
    """Process -> path of its log, for all processes or only for `name`.

    Raises:
        UsageError: There is no such log, or the logs belong to another user.
    """
    instance.recorded()
    logs_by_name = {path.stem: path for path in sorted(instance.log.glob("*.log"))}
    if name is None:
        return logs_by_name
    if name not in logs_by_name:
        raise UsageError(
            f"The local cluster {instance.name} has no log {name!r}.",
            why=f"The logs are: {', '.join(logs_by_name) or 'none yet'}.",
        )
    return {name: logs_by_name[name]}


def follow(path: Path, *, lines: int = 20, pause: float = 0.3) -> Iterator[str]:
    """Yield the last lines of a log, then new lines forever; handles truncation by the log rotation."""
    with path.open(errors="replace") as stream:
        yield from stream.read().splitlines()[-lines:]
        while True:
            if path.stat().st_size < stream.tell():
                stream.seek(0)
            if line := stream.readline():
                yield line.rstrip("\n")
            else:
                time.sleep(pause)


def _processes(recorded: records.Processes) -> Iterator[ProcessStatus]:
    now = time.time()
    yield ProcessStatus(
        name="supervisor",
        pid=recorded.pid,
        uptime=now - recorded.since,
        restarts=0,
        rss=_resident(recorded.pid),
    )
    for name, life in recorded.lives.items():
        yield ProcessStatus(
            name=name,
            pid=life.pid,
            uptime=now - life.since if life.pid and life.since else 0.0,
            restarts=life.restarts,
            rss=_resident(life.pid) if life.pid else 0,
        )


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
