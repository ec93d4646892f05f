"""Start, stop and delete a local cluster.

Every one of them can be interrupted anywhere and called again: what an earlier call, a killed
supervisor or a crash left behind is found by the instance's name (cgroup, namespace, link, mounts)
and cleared before anything new is made. What lasts is in the data folder, and only `delete`
removes that.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from embedded.cluster import forwards as table
from embedded.cluster import network, records
from embedded.cluster.cgroups import Cgroups
from embedded.cluster.diagnosis import failure
from embedded.cluster.forwards import Forward
from embedded.cluster.isolation import (
    make_mount_points,
    mounted_below,
    remove_mount_points,
    unmount_below,
)
from embedded.cluster.places import Places
from embedded.cluster.preflight import check_commands, check_machine
from embedded.cluster.probes import listening
from embedded.cluster.readiness import wait_until_ready
from embedded.cluster.rendering import render, write_all
from embedded.instance import Instance
from embedded.occupancy import holder_of, port_holder
from embedded.toolchain import debian
from slipway.core.errors import FailedError, SlipwayError, UsageError
from slipway.core.locks import locked
from slipway.core.report import Report, silent
from slipway.core.waiting import poll

STOP_PATIENCE: Final = 90.0
FORWARD_PATIENCE: Final = 20.0
_ENVIRONMENT: Final = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")
"""What the cluster's processes get of the caller's environment: nothing that could be a credential."""


def start(instance: Instance, *, forwards: Sequence[Forward] = (), report: Report = silent) -> None:
    """Start the cluster, or find it running; return when it can be used.

    Args:
        instance: which one.
        forwards: ports of 127.0.0.1 that lead to Services; empty keeps the recorded table.
        report: told what happens.

    Raises:
        UsageError: this machine can't run it, or something else holds its addresses or ports.
        FailedError: a component won't run; the message quotes its log.
    """
    check_machine()
    debian.ensure(report)
    check_commands()
    places = Places(instance)
    with _changing(instance, report):
        try:
            _start(places, forwards, report)
            _wait_for_forwards(places)
        except SlipwayError:
            if records.holder(places.supervisor) is None:
                sweep(places)
                _forget_run_folder(places)
            raise
    report(f"local cluster {instance.name} is ready")


def stop(instance: Instance, report: Report = silent) -> None:
    """Stop the cluster and keep its data. Does nothing where nothing runs."""
    check_machine()
    places = Places(instance)
    if not instance.data.exists() and not left_behind(places):
        return
    with _changing(instance, report):
        _stop(places, report)
        sweep(places)
        _forget_run_folder(places)


def delete(instance: Instance, report: Report = silent) -> None:
    """Stop the cluster and remove everything it ever made, its data included.

    Raises:
        FailedError: something is still mounted below its data, which must not be deleted through.
    """
    check_machine()
    places = Places(instance)
    if not instance.data.exists() and not left_behind(places):
        return
    with _changing(instance, report):
        _stop(places, report)
        sweep(places)
        if mounts := mounted_below(instance.data, instance.run):
            raise FailedError(
                f"The data of the local cluster {instance.name} can't be removed.",
                why=f"{mounts[0]} is still mounted.",
                fix=f"Unmount it (`umount {mounts[0]}`) and delete again.",
            )
        report(f"removing {instance.data}")
        if instance.data.exists():
            shutil.rmtree(instance.data)
        _forget_run_folder(places)
        with contextlib.suppress(OSError):
            instance.data_root.rmdir()


def set_forwards(instance: Instance, forwards: Sequence[Forward]) -> None:
    """Replace the table of forwards; takes effect at once where the cluster runs.

    Raises:
        UsageError: a port is wanted twice, or another process holds it.
        FailedError: the cluster runs but its forwarder doesn't take the table over.
    """
    check_machine()
    places = Places(instance)
    _record_forwards(places, forwards)
    if records.holder(places.supervisor) is not None:
        _wait_for_forwards(places)


def left_behind(places: Places) -> bool:
    """Whether anything of the instance runs or is set up on this machine."""
    instance = places.instance
    return instance.run.exists() or network.exists(instance) or Cgroups.of(instance.name).exists()


def sweep(places: Places) -> None:
    """Clear what an ended or killed cluster left: processes, mounts, namespace, link, cgroups, sockets."""
    instance, cgroups = places.instance, Cgroups.of(places.instance.name)
    if pid := records.holder(places.supervisor):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not cgroups.end():
        raise FailedError(
            f"Processes of the local cluster {instance.name} can't be killed.",
            why=f"Still there: {sorted(cgroups.pids())[:10]}.",
            fix="They wait for a device or a file system; look at `ps -o pid,stat,wchan,comm`.",
        )
    unmount_below(instance.data, instance.run)
    network.remove(instance)
    cgroups.remove()
    if instance.run.exists():
        for entry in instance.run.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@contextlib.contextmanager
def _changing(instance: Instance, report: Report) -> Iterator[None]:
    """Hold the instance: `start`, `stop` and `delete` of one wait for each other, and say so."""
    waits = f"waiting for another command that changes {instance.name}"
    with locked(instance.run, folder=True, on_wait=lambda: report(waits)):
        yield


def _runs(places: Places, digest: str) -> bool:
    """Whether a supervisor lives that runs just this plan, as this version starts it."""
    if records.holder(places.supervisor) is None or not network.is_current(places.instance):
        return False
    held = records.read_processes(places.processes)
    return held is not None and held.digest == digest


def _start(places: Places, forwards: Sequence[Forward], report: Report) -> None:
    instance = places.instance
    instance.allocate()
    if forwards:
        _record_forwards(places, forwards)
    cgroups = Cgroups.of(instance.name)
    files, plan = render(places, cgroups, report)
    if _runs(places, plan.digest):
        wait_until_ready(places, report, since=0)
        return
    if records.holder(places.supervisor) is not None:
        report("the local cluster stops or its settings changed; starting it anew")
        _stop(places, report)
    sweep(places)
    _refuse_conflicts(instance)
    _launch(places, cgroups, files, plan, report)


def _launch(
    places: Places, cgroups: Cgroups, files: dict[Path, str], plan: records.Plan, report: Report
) -> None:
    instance = places.instance
    report(f"starting local cluster {instance.name} ({instance.addresses.slice})")
    write_all(files)
    instance.log.mkdir(mode=0o700, exist_ok=True)
    places.volumes.mkdir(mode=0o700, exist_ok=True)
    with locked(instance.data_root, folder=True):
        make_mount_points(places.private_mounts())
    cgroups.make()
    network.make(instance)
    records.write(places.plan, plan)
    begun = time.time()
    _spawn_supervisor(places)
    try:
        wait_until_ready(places, report, since=begun)
    except FailedError:
        _stop(places, silent)
        raise


def _spawn_supervisor(places: Places) -> None:
    command = [sys.executable, "-m", "embedded.cluster.supervisor", places.instance.name]
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    with places.log("supervisor").open("ab") as log:
        subprocess.run(
            ["setsid", "--fork", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd="/",
            check=True,
        )
    if not poll(lambda: records.holder(places.supervisor), seconds=20, interval=0.02):
        raise failure(places, "supervisor", "The local cluster's supervisor does not start.")


def _wait_for_forwards(places: Places) -> None:
    """Wait until every port of the table is open."""
    ports = [forward.port for forward in table.read(places.forwards)]

    def opened() -> bool:
        processes = records.read_processes(places.processes)
        pid = processes.lives["forwards"].pid if processes else None
        return pid is not None and all(listening(pid, port) for port in ports)

    if not poll(opened, seconds=FORWARD_PATIENCE, interval=0.05):
        raise failure(places, "forwards", "The local cluster's ports were not opened.")


def _stop(places: Places, report: Report) -> None:
    """Ask the supervisor to stop everything in order, and wait for it."""
    pid = records.holder(places.supervisor)
    if pid is None:
        return
    report(f"stopping local cluster {places.instance.name}")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    poll(lambda: records.holder(places.supervisor) is None, seconds=STOP_PATIENCE, interval=0.05)


def _forget_run_folder(places: Places) -> None:
    """Remove the run folder, and what all instances share if this was the last that ran."""
    instance = places.instance
    with locked(instance.data_root, folder=True):
        with contextlib.suppress(OSError):
            instance.run.rmdir()
        with contextlib.suppress(OSError):
            instance.run_root.rmdir()
        if not instance.run_root.exists():
            remove_mount_points()


def _refuse_conflicts(instance: Instance) -> None:
    holder = holder_of(instance.addresses, instance.ports, own_link=instance.host_link)
    if holder:
        raise UsageError(
            f"The local cluster {instance.name} can't start: its addresses or ports are taken.",
            why=f"Held by {holder}; its stored objects are bound to {instance.addresses.slice}.",
            fix="Free it, or delete the local cluster with its data and start anew: `slipway local delete`.",
        )


def _record_forwards(places: Places, forwards: Sequence[Forward]) -> None:
    wanted = table.checked(forwards, places)
    held = {forward.port for forward in table.read(places.forwards)}
    running = records.holder(places.supervisor) is not None
    new = tuple(f.port for f in wanted if not (running and f.port in held))
    if not running:
        new = tuple(port for port in new if port not in places.instance.ports.all())
    if holder := port_holder(new):
        raise UsageError(
            "A forward of the local cluster can't be opened on 127.0.0.1.",
            why=f"Taken: {holder}.",
            fix="Stop that process, or choose another port.",
        )
    table.write(places.forwards, wanted)
