"""The cluster's requirements on a machine, with machines that are simulated by files."""

import signal
import socket
import subprocess
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded import occupancy
from embedded.cluster.cgroups import Cgroups, Hierarchies
from embedded.cluster.isolation import make_mount_points, mounted_below, remove_mount_points
from embedded.cluster.preflight import check_commands, check_machine
from slipway.core.errors import UsageError

V1 = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "table"
    path.write_text(text)
    return path


def v2(tmp_path: Path, controllers: str) -> Path:
    (tmp_path / "cgroup.controllers").write_text(controllers)
    return written(tmp_path, f"30 23 0:26 / {tmp_path} rw,nosuid - cgroup2 cgroup2 rw\n")


def test_a_version_1_machine_is_read(tmp_path):
    hierarchies = Hierarchies.of_this_machine(written(tmp_path, V1))
    assert not hierarchies.unified
    assert hierarchies.mounts["cpu"] == hierarchies.mounts["cpuacct"] == Path("/sys/fs/cgroup/cpu,cpuacct")
    assert hierarchies.mounts["unified"] == Path("/sys/fs/cgroup/unified")
    assert "rw" not in hierarchies.mounts


def test_a_version_2_machine_is_read(tmp_path):
    hierarchies = Hierarchies.of_this_machine(v2(tmp_path, "cpuset cpu io memory pids\n"))
    assert hierarchies.unified
    assert hierarchies.mounts == {"unified": tmp_path}


@pytest.mark.parametrize("controllers", ["", "cpu pids\n"])
def test_a_machine_without_usable_cgroups_is_refused(tmp_path, controllers):
    with pytest.raises(UsageError, match=r"no usable cgroups.*dev"):
        Hierarchies.of_this_machine(v2(tmp_path, controllers))


def test_version_2_inner_groups_have_no_processes(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu cpuset memory misc pids\n")
    group = Cgroups("mine", Hierarchies(unified=True, mounts={"unified": tmp_path}))
    group.make()
    assert (tmp_path / "mine" / "cgroup.subtree_control").read_text() == "+cpu +cpuset +memory +pids"
    assert not (tmp_path / "mine" / "system" / "cgroup.subtree_control").exists()
    group.join(1234)
    assert (tmp_path / "mine" / "system" / "cgroup.procs").read_text() == "1234"


def test_processes_are_found_in_all_groups_and_parts(tmp_path):
    group = Cgroups("mine", Hierarchies(unified=True, mounts={"unified": tmp_path}))
    group.make()
    (tmp_path / "mine/pods/kubepods/pod1").mkdir(parents=True)
    (tmp_path / "mine/system/cgroup.procs").write_text("10\n11\n")
    (tmp_path / "mine/pods/kubepods/pod1/cgroup.procs").write_text("12\n")
    assert group.pids() == {10, 11, 12}
    assert group.pids("pods") == {12}


def test_read_only_cgroups_are_refused(tmp_path):
    blocked = written(tmp_path, "a file, not a folder")
    group = Cgroups("mine", Hierarchies(unified=True, mounts={"unified": blocked}))
    with pytest.raises(UsageError, match=r"can't be written.*dev"):
        group.make()


def test_memory_of_a_missing_group_is_zero(tmp_path):
    assert Cgroups("mine", Hierarchies(unified=True, mounts={"unified": tmp_path})).memory() == 0


def test_kill_ignores_processes_that_have_ended(tmp_path):
    group = Cgroups("mine", Hierarchies(unified=True, mounts={"unified": tmp_path}))
    group.make()
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    (tmp_path / "mine/system/cgroup.procs").write_text(f"{gone.pid}\n")
    group.kill(signal.SIGKILL)


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        ({"system": "Darwin"}, "this is Darwin"),
        ({"system": "Linux", "user": 1000}, "requires root"),
    ],
)
def test_another_machine_or_user_is_refused(machine, message):
    with pytest.raises(UsageError, match=message) as caught:
        check_machine(**machine)
    assert "`dev`" in caught.value.fix
    assert caught.value.exit_code == 2


def test_a_kernel_without_overlayfs_is_refused(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(V1)
    good = {"system": "Linux", "user": 0, "mountinfo": mounts}
    check_machine(**good, filesystems=written(tmp_path, "nodev\toverlay\n\text4\n"))
    with pytest.raises(UsageError, match=r"no overlayfs.*dev"):
        check_machine(**good, filesystems=written(tmp_path, "\text4\nnodev\ttmpfs\n"))


def test_missing_programs_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"missing: containerd, runc.*dev"):
        check_commands(search=str(tmp_path))


def test_mounts_below_are_found_deepest_first(tmp_path):
    table = written(
        tmp_path,
        "1 0 0:1 / / rw - ext4 x rw\n"
        "2 1 0:2 / /data/mine rw - tmpfs x rw\n"
        "3 2 0:3 / /data/mine/a\\040b/c rw - tmpfs x rw\n"
        "4 1 0:4 / /data/mine-too rw - tmpfs x rw\n",
    )
    below = mounted_below(Path("/data/mine"), mountinfo=table)
    assert below == [Path("/data/mine/a b/c"), Path("/data/mine")]


def test_only_empty_mount_points_of_ours_are_removed(tmp_path):
    ledger = tmp_path / "ledger"
    theirs, ours, used = (tmp_path / name for name in ("theirs", "ours", "used"))
    theirs.mkdir()
    make_mount_points([theirs, ours, used], ledger)
    make_mount_points([theirs, ours, used], ledger)
    (used / "file").touch()
    remove_mount_points(ledger)
    assert (theirs.exists(), ours.exists(), used.exists()) == (True, False, True)
    assert not ledger.exists()
    remove_mount_points(ledger)


ROUTES = st.sampled_from(["198.18.0.0/15", "198.18.0.0/20", "198.18.3.0/24", "198.16.0.0/13", "198.18.1.7"])


@given(ROUTES)
def test_an_overlapping_route_is_reported(route):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(occupancy, "_ip", lambda *_: [{"dst": "default"}, {"dst": route, "dev": "tun0"}])
        network = IPv4Network("198.18.0.0/20")
        assert occupancy.network_holder(network) == f"route {route} dev tun0"
        assert occupancy.network_holder(network, own_link="tun0") is None


def test_other_routes_are_ignored(monkeypatch):
    monkeypatch.setattr(
        occupancy, "_ip", lambda *_: [{"dst": "0.0.0.0/0"}, {"dst": "10.0.0.0/8", "dev": "x"}]
    )
    assert occupancy.network_holder(IPv4Network("198.18.0.0/20")) is None


def test_a_port_in_use_is_reported_with_its_process():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert str(occupancy.port_holder((port,))).startswith(f"port {port}: ")
        assert "pid" in str(occupancy.port_holder((port,)))
    assert occupancy.port_holder((port,)) is None
