"""The cluster's network namespace and those of other programs. Each test has its own mount namespace."""

import contextlib
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

from embedded.cluster import network
from embedded.instance import Instance

pytestmark = pytest.mark.contract

HEAD = """
import subprocess, sys
from pathlib import Path
from embedded.cluster import network
from embedded.instance import Instance
mine = Instance(sys.argv[1], data_root=Path(sys.argv[2]) / "data", run_root=Path(sys.argv[2]) / "run")
mine.allocate(lambda number: None)
other = sys.argv[1] + "-other"
def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)
# podman has mounted it, where it has run since the machine started.
run("umount", "/run/netns")
def another_program_creates_its_own():
    assert run("ip", "netns", "add", other).returncode == 0
def another_programs_still_works():
    return run("ip", "netns", "exec", other, "true").returncode == 0
"""


@pytest.fixture
def name() -> Iterator[str]:
    name = f"slt-{uuid.uuid4().hex[:8]}"
    yield name
    subprocess.run(["ip", "link", "delete", Instance(name).host_link], capture_output=True, check=False)


def in_own_mounts(name, tmp_path, text: str) -> None:
    """Run a program in its own mount namespace, because `ip netns add` changes /run/netns globally."""
    command = ["unshare", "--mount", "--propagation=private", sys.executable, "-c", HEAD + text]
    done = subprocess.run(
        [*command, name, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    for left in (name, f"{name}-other"):
        (network.LEGACY_FOLDER / left).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        network.LEGACY_FOLDER.rmdir()
    assert done.returncode == 0, done.stderr


def test_other_namespaces_do_not_hide_ours(name, tmp_path):
    text = """
network.make(mine)
another_program_creates_its_own()
assert run(*network.enter_command(mine), "ip", "link", "show", network.NODE_LINK).returncode == 0
network.remove(mine)
assert not network.exists(mine)
assert another_programs_still_works()
"""
    in_own_mounts(name, tmp_path, text)


@pytest.mark.parametrize("before", [True, False], ids=["mounted before", "mounted after"])
def test_a_namespace_of_an_earlier_version_is_removed(name, tmp_path, before):
    """Earlier versions created it in /run/netns, over which `ip netns add` mounts."""
    text = f"""
earlier = network.LEGACY_FOLDER / mine.name
if {before}:
    another_program_creates_its_own()
earlier.parent.mkdir(exist_ok=True)
earlier.touch()
assert run("unshare", f"--net={{earlier}}", "true").returncode == 0
if not {before}:
    another_program_creates_its_own()
    run("umount", "--lazy", str(earlier))
    assert "busy" in run("rm", str(earlier)).stderr, "the control: the hiding mount prevents removal"
assert network.exists(mine)
assert not network.is_current(mine)
network.remove(mine)
assert not earlier.exists()
assert not network.exists(mine)
assert mine.name + " " not in Path("/proc/self/mountinfo").read_text()
assert another_programs_still_works()
"""
    in_own_mounts(name, tmp_path, text)


def test_a_namespace_that_can_not_be_removed_is_reported(name, tmp_path):
    text = """
from embedded.cluster import isolation
from slipway.core.errors import FailedError
held = Path(sys.argv[2]) / "held"
held.mkdir()
run("mount", "-t", "tmpfs", "-o", "size=64k", "held", str(held))
(held / "file").touch()
run("mount", "-o", "remount,ro", str(held))
try:
    isolation.remove_mounted_file(held / "file")
except FailedError as error:
    assert str(held / "file") in error.what and "findmnt" in error.fix, error
else:
    raise AssertionError("removed from a file system that can't be written")
"""
    in_own_mounts(name, tmp_path, text)
