"""The smallest tool, built by the real Go and run as what it is for: process 1 of a pod."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from embedded.toolchain import build, cache, golang, tools
from embedded.toolchain.tools import TOOLS

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def pause(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIPWAY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield build.binary("pause")


def test_it_is_static_and_needs_nothing_of_an_image(pause):
    assert b"ld-linux" not in pause.read_bytes()
    assert pause.stat().st_size < 3 * 1024**2


def test_another_clone_and_another_cache_give_the_same_bytes(pause, tmp_path, monkeypatch):
    shutil.copytree(tools.SOURCES, tmp_path / "clone")
    monkeypatch.setattr(tools, "SOURCES", tmp_path / "clone")
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "cache"))
    again = build.binary("pause")
    assert again.parent.name == pause.parent.name
    assert again.read_bytes() == pause.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_it_is_told_to(pause, number):
    process = subprocess.Popen([pause])
    time.sleep(0.3)
    assert process.poll() is None, "it waits"
    process.send_signal(number)
    assert process.wait(timeout=5) == 0


def _children(parent: int) -> list[tuple[int, str]]:
    """The id and state of every child of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(ppid) == parent:
            found.append((int(stat.parent.name), state))
    return found


def _zombies_after_orphans(program: list[str]) -> int:
    """Start a program as process 1 of a pid namespace, leave it five orphans, count what it doesn't reap."""
    shell = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", *program])
    try:
        deadline = time.monotonic() + 10
        while not (first := _children(shell.pid)) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        [(init, _)] = first
        orphans = "for i in 1 2 3 4 5; do (sleep 0.2 &); done"
        subprocess.run(["nsenter", f"--pid=/proc/{init}/ns/pid", "sh", "-c", orphans], check=True)
        assert len(_children(init)) == 5, "the orphans became its children"
        time.sleep(1)
        return sum(state == "Z" for _, state in _children(init))
    finally:
        shell.kill()
        shell.wait()


def test_it_reaps_orphans(pause):
    assert _zombies_after_orphans(["sleep", "60"]) == 5, "the control: a process 1 that reaps nothing"
    assert _zombies_after_orphans([str(pause)]) == 0


def test_its_entry_is_named_by_the_digest_and_has_a_record(pause):
    record = cache.load(pause.parent)
    assert record is not None
    assert record.subject == "pause v1"
    assert pause.parent.name == golang.digest(TOOLS["pause"], golang.find())
