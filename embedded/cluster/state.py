"""What a local cluster is doing, and its logs. Reads only; needs no running API server."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from embedded.cluster import forwards, records
from embedded.cluster.cgroups import Cgroups
from embedded.cluster.forwards import Forward
from embedded.cluster.lifecycle import left_behind
from embedded.cluster.places import Places
from embedded.instance import Instance
from slipway.core.errors import UsageError

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Answer(BaseModel):
    """Strict and frozen, like everything printed as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProcessStatus(Answer):
    """One process of the cluster."""

    name: str
    pid: int | None = Field(description="None while it waits to be started again.")
    uptime: float = Field(description="Seconds since it was last started; 0 where it does not run.")
    restarts: int
    rss: int = Field(description="Resident memory in bytes, shared pages included.")


class ClusterStatus(Answer):
    """What `slipway local status` prints."""

    name: str
    state: Literal["running", "stopped", "absent", "broken"]
    processes: tuple[ProcessStatus, ...] = ()
    memory: int = Field(default=0, description="Anonymous memory of everything, in bytes.")
    pods_memory: int = Field(default=0, description="The part of it that is in pods.")
    data: Path
    kubeconfig: Path
    addresses: str | None = Field(default=None, description="The address slice; None before the first use.")
    ports: dict[str, int] = Field(default_factory=dict, description="On 127.0.0.1.")
    forwards: tuple[Forward, ...] = ()


def status(instance: Instance) -> ClusterStatus:
    """What the instance is doing now; allocates nothing.

    `running`: the supervisor lives. `broken`: it doesn't, but something it made is there (the next
    start clears it). `stopped`: only data. `absent`: nothing.
    """
    places = Places(instance)
    common = {"name": instance.name, "data": instance.data, "kubeconfig": instance.kubeconfig}
    if instance.recorded() is None:
        return ClusterStatus(state="broken" if left_behind(places) else "absent", **common)
    common.update(
        addresses=str(instance.addresses.slice),
        ports=vars(instance.ports),
        forwards=forwards.read(places.forwards),
    )
    if records.holder(places.supervisor) is None:
        return ClusterStatus(state="broken" if left_behind(places) else "stopped", **common)
    cgroups = Cgroups.of(instance.name)
    held = records.read_processes(places.processes)
    return ClusterStatus(
        state="running",
        processes=tuple(_processes(held)) if held else (),
        memory=cgroups.memory(),
        pods_memory=cgroups.memory("pods"),
        **common,
    )


def logs(instance: Instance, name: str | None = None) -> dict[str, Path]:
    """Paths of the logs by process, or of the one process `name`.

    Raises:
        UsageError: there is no log of that name, or the logs are another user's.
    """
    instance.recorded()
    found = {path.stem: path for path in sorted(instance.log.glob("*.log"))}
    if name is None:
        return found
    if name not in found:
        raise UsageError(
            f"The local cluster {instance.name} has no log of {name!r}.",
            why=f"There are: {', '.join(found) or 'none yet'}.",
        )
    return {name: found[name]}


def follow(path: Path, *, lines: int = 20, pause: float = 0.3) -> Iterator[str]:
    """The last lines of a log, then every new one, for ever; survives the cut of a capped log."""
    with path.open(errors="replace") as stream:
        yield from stream.read().splitlines()[-lines:]
        while True:
            if path.stat().st_size < stream.tell():
                stream.seek(0)
            if line := stream.readline():
                yield line.rstrip("\n")
            else:
                time.sleep(pause)


def _processes(held: records.Processes) -> Iterator[ProcessStatus]:
    now = time.time()
    yield ProcessStatus(
        name="supervisor", pid=held.pid, uptime=now - held.since, restarts=0, rss=_resident(held.pid)
    )
    for name, life in held.lives.items():
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
