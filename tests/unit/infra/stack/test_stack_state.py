"""What a killed CLI leaves behind, and what is made of it."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.stack.declared import outputs_of
from infra.stack.state import FileBackend, adoptable, pending, read_lock, without_pending
from slipway.core.errors import UsageError


@pytest.fixture
def backend(tmp_path: Path) -> FileBackend:
    found = FileBackend.of(f"file://{tmp_path}", "slipway", "local")
    assert found is not None
    return found


@pytest.fixture
def living(tmp_path: Path) -> Iterator[int]:
    """Start a process that is called pulumi."""
    link = tmp_path / "pulumi"
    link.symlink_to("/bin/sleep")
    process = subprocess.Popen([str(link), "60"])
    while Path(f"/proc/{process.pid}/comm").read_text() != "pulumi\n":
        time.sleep(0.01)  # the kernel sets the name a moment after the program has begun
    yield process.pid
    process.send_signal(signal.SIGKILL)
    process.wait()


def _dead() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def _lock(root: Path, pid: int, host: str | None = None, stack: str = "local") -> Path:
    path = root / f".pulumi/locks/organization/slipway/{stack}/0000.json"
    path.parent.mkdir(parents=True)
    content = {
        "pid": pid,
        "username": "root",
        "hostname": host or socket.gethostname(),
        "timestamp": "2026-11-22T11:54:01.33753048Z",
    }
    path.write_text(json.dumps(content))
    return path


def test_no_lock_is_no_trouble(backend: FileBackend) -> None:
    assert backend.clear_stale_locks() == 0


def test_a_lock_of_a_dead_process_is_cleared(backend: FileBackend, tmp_path: Path) -> None:
    path = _lock(tmp_path, _dead())
    assert backend.clear_stale_locks() == 1
    assert not path.exists()


def test_a_lock_of_a_reused_pid_is_cleared(backend: FileBackend, tmp_path: Path) -> None:
    _lock(tmp_path, os.getpid())
    assert backend.clear_stale_locks() == 1


def test_a_lock_of_a_living_process_is_refused_by_its_number(
    backend: FileBackend, tmp_path: Path, living: int
) -> None:
    path = _lock(tmp_path, living)
    with pytest.raises(UsageError, match=rf"Process {living} .* kill -INT {living}$"):
        backend.clear_stale_locks()
    assert path.exists()


def test_a_lock_of_another_machine_is_refused(backend: FileBackend, tmp_path: Path) -> None:
    _lock(tmp_path, _dead(), host="elsewhere")
    with pytest.raises(UsageError, match="on elsewhere"):
        backend.clear_stale_locks()


def test_another_stacks_lock_is_none_of_ours(backend: FileBackend, tmp_path: Path, living: int) -> None:
    _lock(tmp_path, living, stack="dev")
    assert backend.clear_stale_locks() == 0


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "many"}', "null"])
def test_a_lock_that_was_cut_short_is_cleared(backend: FileBackend, tmp_path: Path, content: str) -> None:
    path = _lock(tmp_path, 1)
    path.write_text(content)
    assert not read_lock(path).holder_lives()
    assert backend.clear_stale_locks() == 1


@pytest.mark.parametrize(
    ("url", "known"),
    [("file:///a%20b", True), ("s3://bucket", False), ("https://app.pulumi.com", False), ("", False)],
)
def test_only_folders_of_this_machine_are_looked_into(url: str, known: bool) -> None:
    assert (FileBackend.of(url, "slipway", "local") is not None) is known


def test_pending_operations_are_found(backend: FileBackend, tmp_path: Path) -> None:
    assert backend.export() == {"version": 3, "deployment": {}}
    path = tmp_path / ".pulumi/stacks/slipway/local.json"
    path.parent.mkdir(parents=True)
    operation = {"type": "creating", "resource": {"type": "kubernetes:core/v1:Secret"}}
    path.write_text(json.dumps({"version": 3, "checkpoint": {"latest": {"pending_operations": [operation]}}}))
    assert backend.exists()
    assert pending(backend.export()) == ["kubernetes:core/v1:Secret"]
    for empty in ({"checkpoint": {"latest": None}}, {"checkpoint": {"latest": {}}}):
        path.write_text(json.dumps({"version": 3, **empty}))
        assert pending(backend.export()) == []


def test_outputs_are_those_of_the_stack_itself() -> None:
    def exported(*resources: dict[str, object]) -> dict[str, object]:
        return {"version": 3, "deployment": {"resources": [*resources]}}

    own = {"type": "pulumi:pulumi:Stack", "outputs": {"port": 1}}
    other = {"type": "slipway:test:Part", "outputs": {"port": 2}}
    assert outputs_of(exported(other, own)) == {"port": 1}
    assert outputs_of(exported(other, {"type": "pulumi:pulumi:Stack"})) == {}
    assert outputs_of(exported()) == outputs_of({"version": 3, "deployment": {}}) == {}


def test_only_what_adopts_is_forgotten() -> None:
    assert adoptable(["kubernetes:apps/v1:Deployment", "slipway:embedded:Cluster"])
    assert not adoptable(["kubernetes:apps/v1:Deployment", "aws:s3:Bucket"]), "it would be made twice"


def test_a_deployment_keeps_all_but_its_pending_operations() -> None:
    whole = {"version": 3, "deployment": {"manifest": 1, "resources": [2], "pending_operations": [3]}}
    assert without_pending(whole) == {"version": 3, "deployment": {"manifest": 1, "resources": [2]}}
    assert "pending_operations" in whole["deployment"], "the original is left as it is"  # type: ignore[operator]
