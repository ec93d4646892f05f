"""Start, stop and delete a local cluster.

Each of them can be interrupted at any point and called again: leftovers of an earlier call, a killed
supervisor or a crash are found by the instance's name (cgroup, namespace, link, mounts) and removed before
anything is created. Persistent state is in the data folder, which only `delete` removes.
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
from embedded.cluster.paths import ClusterPaths
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

STOP_TIMEOUT: Final = 90.0
FORWARD_TIMEOUT: Final = 20.0
_ENVIRONMENT: Final = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")
"""Environment variables that the cluster's processes inherit; none of them is a credential."""


def start(instance: Instance, *, forwards: Sequence[Forward] = (), report: Report = silent) -> None:
    """Start the cluster if it is not running; return when it is ready.

    Args:
        instance: The instance.
        forwards: Port forwards from 127.0.0.1 to Services; if empty, the recorded table is kept.
        report: Receives progress messages.

    Raises:
        UsageError: This machine can't run it, or its addresses or ports are in use.
        FailedError: A component fails; the message quotes its log.
    """
    check_machine()
    debian.ensure(report)
    check_commands()
    paths = ClusterPaths(instance)
    with _changing(instance, report):
        try:
            _start(paths, forwards, report)
            _wait_for_forwards(paths)
        except SlipwayError:
            if records.supervisor_pid(paths.supervisor) is None:
                clean_up(paths)
                _remove_run_folder(paths)
            raise
    report(f"local cluster {instance.name} is ready")


def stop(instance: Instance, report: Report = silent) -> None:
    """Stop the cluster and keep its data. Does nothing if it is not running."""
    _end(instance, report, with_data=False)


def delete(instance: Instance, report: Report = silent) -> None:
    """Stop the cluster and remove everything it created, including its data.

    Raises:
        FailedError: A mount is left below its data; deleting the data would delete the mounted files.
    """
    _end(instance, report, with_data=True)


def set_forwards(instance: Instance, forwards: Sequence[Forward]) -> None:
    """Replace the table of forwards; takes effect immediately if the cluster is running.

    Raises:
        UsageError: A port is used twice, or is in use by another process.
        FailedError: The cluster is running, but its forwarder did not open the ports.
    """
    check_machine()
    paths = ClusterPaths(instance)
    _record_forwards(paths, forwards)
    if records.supervisor_pid(paths.supervisor) is not None:
        _wait_for_forwards(paths)


def has_leftovers(paths: ClusterPaths) -> bool:
    """Whether processes or resources of the instance exist on this machine."""
    instance = paths.instance
    return instance.run.exists() or network.exists(instance) or Cgroups.of(instance.name).exists()


def clean_up(paths: ClusterPaths) -> None:
    """Remove leftovers of the cluster: processes, mounts, namespace, link, cgroups, sockets."""
    instance, cgroups = paths.instance, Cgroups.of(paths.instance.name)
    if pid := records.supervisor_pid(paths.supervisor):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not cgroups.end():
        raise FailedError(
            f"Processes of the local cluster {instance.name} can't be killed.",
            why=f"Still running: {sorted(cgroups.pids())[:10]}.",
            fix="They wait for a device or a file system; see `ps -o pid,stat,wchan,comm`.",
        )
    unmount_below(instance.data, instance.run)
    network.remove(instance)
    cgroups.remove()
    if instance.run.exists():
        for entry in instance.run.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _end(instance: Instance, report: Report, *, with_data: bool) -> None:
    check_machine()
    paths = ClusterPaths(instance)
    if not instance.data.exists() and not has_leftovers(paths):
        return
    with _changing(instance, report):
        _stop(paths, report)
        clean_up(paths)
        if with_data:
            _remove_data(instance, report)
        _remove_run_folder(paths)
        if with_data:
            with contextlib.suppress(OSError):
                instance.data_root.rmdir()


def _remove_data(instance: Instance, report: Report) -> None:
    if mounts := mounted_below(instance.data, instance.run):
        raise FailedError(
            f"The data of the local cluster {instance.name} can't be removed.",
            why=f"{mounts[0]} is still mounted.",
            fix=f"Unmount it (`umount {mounts[0]}`) and delete again.",
        )
    report(f"removing {instance.data}")
    if instance.data.exists():
        shutil.rmtree(instance.data)


@contextlib.contextmanager
def _changing(instance: Instance, report: Report) -> Iterator[None]:
    """Lock the instance, so that `start`, `stop` and `delete` wait for each other and report it."""
    message = f"waiting for another command that changes {instance.name}"
    with locked(instance.run, folder=True, on_wait=lambda: report(message)):
        yield


def _runs(paths: ClusterPaths, digest: str) -> bool:
    """Whether a supervisor is running that runs exactly this plan in this version's namespace."""
    if records.supervisor_pid(paths.supervisor) is None or not network.is_current(paths.instance):
        return False
    processes = records.read_processes(paths.processes)
    return processes is not None and processes.digest == digest


def _start(paths: ClusterPaths, forwards: Sequence[Forward], report: Report) -> None:
    instance = paths.instance
    instance.allocate()
    if forwards:
        _record_forwards(paths, forwards)
    cgroups = Cgroups.of(instance.name)
    files, plan = render(paths, cgroups, report)
    if _runs(paths, plan.digest):
        wait_until_ready(paths, report, since=0)
        return
    if records.supervisor_pid(paths.supervisor) is not None:
        report("the local cluster is stopping or its settings changed; restarting it")
        _stop(paths, report)
    clean_up(paths)
    _refuse_conflicts(instance)
    _launch(paths, cgroups, files, plan, report)


def _launch(
    paths: ClusterPaths, cgroups: Cgroups, files: dict[Path, str], plan: records.Plan, report: Report
) -> None:
    instance = paths.instance
    report(f"starting local cluster {instance.name} ({instance.addresses.slice})")
    write_all(files)
    instance.log.mkdir(mode=0o700, exist_ok=True)
    paths.volumes.mkdir(mode=0o700, exist_ok=True)
    with locked(instance.data_root, folder=True):
        make_mount_points(paths.private_mounts())
    cgroups.make()
    network.make(instance)
    records.write(paths.plan, plan)
    started = time.time()
    _spawn_supervisor(paths)
    try:
        wait_until_ready(paths, report, since=started)
    except FailedError:
        _stop(paths, silent)
        raise


def _spawn_supervisor(paths: ClusterPaths) -> None:
    command = [sys.executable, "-m", "embedded.cluster.supervisor", paths.instance.name]
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    with paths.log("supervisor").open("ab") as log:
        subprocess.run(
            ["setsid", "--fork", *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd="/",
            check=True,
        )
    if not poll(lambda: records.supervisor_pid(paths.supervisor), seconds=20, interval=0.02):
        raise failure(paths, "supervisor", "The local cluster's supervisor does not start.")


def _wait_for_forwards(paths: ClusterPaths) -> None:
    """Wait until every port of the table is open."""
    ports = [forward.port for forward in table.read(paths.forwards)]

    def opened() -> bool:
        processes = records.read_processes(paths.processes)
        pid = processes.lives["forwards"].pid if processes else None
        return pid is not None and all(listening(pid, port) for port in ports)

    if not poll(opened, seconds=FORWARD_TIMEOUT, interval=0.05):
        raise failure(paths, "forwards", "The local cluster's ports were not opened.")


def _stop(paths: ClusterPaths, report: Report) -> None:
    """Signal the supervisor to stop the components in order, and wait for it."""
    pid = records.supervisor_pid(paths.supervisor)
    if pid is None:
        return
    report(f"stopping local cluster {paths.instance.name}")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    poll(lambda: records.supervisor_pid(paths.supervisor) is None, seconds=STOP_TIMEOUT, interval=0.05)


def _remove_run_folder(paths: ClusterPaths) -> None:
    """Remove the run folder, and the shared mount points if this was the last running instance."""
    instance = paths.instance
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
            f"The local cluster {instance.name} can't start: its addresses or ports are in use.",
            why=f"Used by {holder}; the cluster's stored objects refer to {instance.addresses.slice}.",
            fix="Free them, or delete the local cluster with its data: `slipway local delete`.",
        )


def _record_forwards(paths: ClusterPaths, forwards: Sequence[Forward]) -> None:
    checked = table.checked(forwards, paths)
    recorded = {forward.port for forward in table.read(paths.forwards)}
    running = records.supervisor_pid(paths.supervisor) is not None
    new = tuple(f.port for f in checked if not (running and f.port in recorded))
    if not running:
        new = tuple(port for port in new if port not in paths.instance.ports.all())
    if holder := port_holder(new):
        raise UsageError(
            "A forward of the local cluster can't be opened on 127.0.0.1.",
            why=f"In use: {holder}.",
            fix="Stop that process, or choose another port.",
        )
    table.write(paths.forwards, checked)
