"""Stop, start, crash and delete: what is kept, restored and removed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client
from support.cluster import (
    api_client,
    instance_for,
    root_of,
    running_cluster,
    running_pid,
    stateful_set,
)
from support.waiting import PATIENCE_SECONDS, eventually

from embedded.cluster import delete, network, start, status, stop
from embedded.cluster.cgroups import Cgroups, Hierarchies
from embedded.instance import Instance
from slipway.core.errors import FailedError, UsageError

pytestmark = pytest.mark.contract

START = """
import sys
from embedded.cluster import start
from embedded.instance import Instance
start(Instance(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Instance]:
    with running_cluster("slt-life") as instance:
        api = api_client(instance)
        client.AppsV1Api(api).create_namespaced_stateful_set("default", stateful_set())
        client.CoreV1Api(api).create_namespaced_config_map(
            "default", {"metadata": {"name": "kept"}, "data": {"k": "v"}}
        )
        (root_of(running_pid(instance)) / "data/kept").write_text("v")
        yield instance


def assert_data_is_kept(cluster: Instance) -> None:
    core = client.CoreV1Api(api_client(cluster))
    assert core.read_namespaced_config_map("kept", "default").data == {"k": "v"}
    assert (root_of(running_pid(cluster)) / "data/kept").read_text() == "v"


def traces(instance: Instance, addresses: str = "") -> list[str]:
    """All traces of the instance on this machine."""
    lines = [f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for command in (["ip", "link"], ["ip", "route", "show", "table", "all"], ["ip", "address"]):
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        lines += [f"{command[1]} {line}" for line in shown.splitlines()]
    marks = [instance.name, instance.host_link]
    if addresses:
        marks.append(f"{addresses.rsplit('.', 1)[0]}.")
    lines = [line for line in lines if any(mark in line for mark in marks)]
    for root in set(Hierarchies.of_this_machine().mounts.values()):
        lines += [f"cgroup {path}" for path in root.glob(f"**/{instance.name}")]
    for folder in (instance.data, instance.run, network.LEGACY_FOLDER / instance.name):
        lines += [f"path {folder}"] if folder.exists() else []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if ") Z " in (process / "stat").read_text():
                continue  # a zombie that init has not reaped yet
            seen = (process / "cmdline").read_bytes().decode() + (process / "cgroup").read_text()
        except OSError:
            continue
        if instance.name in seen:
            lines.append(f"process {process.name} {seen[:80]}")
    return lines


def test_stop_keeps_the_data_and_start_restores_the_pods(cluster):
    stop(cluster)
    assert status(cluster).state == "stopped"
    left = traces(cluster, str(cluster.addresses.slice))
    assert left == [f"path {cluster.data}"]
    stop(cluster)  # idempotent
    start(cluster)
    assert_data_is_kept(cluster)


def test_start_cleans_up_after_a_killed_supervisor(cluster):
    before = {p.name: p.pid for p in status(cluster).processes}
    os.kill(before["supervisor"], signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{before['supervisor']}").exists())
    assert status(cluster).state == "broken"
    start(cluster)
    after = {p.name: p.pid for p in status(cluster).processes}
    assert not set(before.values()) & set(after.values())
    assert_data_is_kept(cluster)


def test_stop_cleans_up_after_a_killed_supervisor(cluster):
    os.kill(status(cluster).processes[0].pid, signal.SIGKILL)
    stop(cluster)
    assert traces(cluster, str(cluster.addresses.slice)) == [f"path {cluster.data}"]
    start(cluster)
    assert_data_is_kept(cluster)


def test_killing_all_processes_loses_no_data(cluster):
    for process in status(cluster).processes:
        os.kill(process.pid, signal.SIGKILL)
    start(cluster)
    assert_data_is_kept(cluster)


@pytest.mark.parametrize("after", [0.3, 1.0, 2.0, 4.0])
def test_an_interrupted_start_converges(cluster, after):
    stop(cluster)
    starting = subprocess.Popen(
        [sys.executable, "-c", START, cluster.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(after)
    starting.send_signal(signal.SIGINT)
    starting.wait(PATIENCE_SECONDS)
    start(cluster)
    assert_data_is_kept(cluster)


def test_groups_are_removed_despite_a_late_process():
    """Like the supervisor of an interrupted start, after the other processes were killed."""
    cgroups = Cgroups.of(f"slt-late-{os.getpid():x}")
    cgroups.make()
    late = subprocess.Popen(["sleep", "60"])
    try:
        cgroups.join(late.pid)
        assert late.pid in cgroups.pids("system"), "the positive control"
        cgroups.remove(timeout=PATIENCE_SECONDS)
        assert late.wait(PATIENCE_SECONDS) == -signal.SIGKILL
        assert not cgroups.exists()
    finally:
        late.kill()
        late.wait()
        cgroups.remove()


def test_a_start_during_a_stop_waits_and_starts(cluster):
    os.kill(status(cluster).processes[0].pid, signal.SIGTERM)
    start(cluster)
    assert status(cluster).state == "running"
    assert_data_is_kept(cluster)


def test_a_port_in_use_is_reported_with_its_process(cluster):
    stop(cluster)
    with (
        socket.create_server(("127.0.0.1", cluster.ports.kfp)),
        pytest.raises(UsageError, match=rf"port {cluster.ports.kfp}: .*pid {os.getpid()}"),
    ):
        start(cluster)
    assert status(cluster).state == "stopped"
    start(cluster)  # the positive control


def test_a_failing_component_is_reported_with_its_log(cluster):
    stop(cluster)
    database = cluster.data / "etcd" / "member" / "snap" / "db"
    kept = database.read_bytes()
    database.write_bytes(b"not a database" * 1000)
    try:
        with pytest.raises(FailedError) as caught:
            start(cluster)
        assert "etcd" in caught.value.what
        assert str(cluster.log / "etcd.log") in caught.value.fix
        assert status(cluster).state == "stopped"
    finally:
        database.write_bytes(kept)
    start(cluster)
    assert_data_is_kept(cluster)


def test_two_clusters_coexist_and_delete_removes_one(cluster):
    other = instance_for("slt-two")
    delete(other)
    assert traces(other) == []
    start(other)
    addresses = str(other.addresses.slice)
    assert other.number != cluster.number
    assert not other.addresses.slice.overlaps(cluster.addresses.slice)
    for instance in (other, cluster):
        [node] = client.CoreV1Api(api_client(instance)).list_node().items
        assert node.metadata.name == instance.name
    client.AppsV1Api(api_client(other)).create_namespaced_stateful_set("default", stateful_set())
    running_pid(other)
    delete(other)
    assert traces(other, addresses) == []
    assert status(other).state == "absent"
    delete(other)  # idempotent
    assert_data_is_kept(cluster)
