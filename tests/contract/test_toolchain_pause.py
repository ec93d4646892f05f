"""The smallest tool, built by the real Go and run as what it is for: process 1 of a pod."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.waiting import PATIENCE_SECONDS, eventually

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
    # The shell becomes the program and leaves it a child, which it reaps once it has its handlers.
    process = subprocess.Popen(["sh", "-c", 'true & exec "$0"', pause])
    comm = Path(f"/proc/{process.pid}/comm")
    eventually(lambda: comm.read_text() == "pause\n" and not _children(process.pid))
    process.send_signal(number)
    assert process.wait(PATIENCE_SECONDS) == 0


def _children(parent: int) -> dict[int, str]:
    """The state of every child of a process, by its id."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(ppid) == parent:
            found[int(stat.parent.name)] = state
    return found


@contextmanager
def _dead_orphans(program: list[str]) -> Iterator[Callable[[], str]]:
    """Start a program as process 1 of a pid namespace, leave it five orphans and kill them.

    Yields a function that returns the states of those that are still its children.
    """
    shell = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", *program])
    try:
        [init] = eventually(lambda: _children(shell.pid))
        orphans = "for i in 1 2 3 4 5; do (sleep 600 &); done"
        subprocess.run(["nsenter", f"--pid=/proc/{init}/ns/pid", "sh", "-c", orphans], check=True)
        eventually(lambda: len(_children(init)) == 5)
        for pid in _children(init):
            os.kill(pid, signal.SIGKILL)
        yield lambda: "".join(_children(init).values())
    finally:
        shell.kill()
        shell.wait()


def test_it_reaps_orphans(pause):
    with _dead_orphans(["sleep", "600"]) as states:  # the control: a process 1 that reaps nothing
        eventually(lambda: states() == "ZZZZZ")
    with _dead_orphans([str(pause)]) as states:
        eventually(lambda: states() == "")


def test_its_entry_is_named_by_the_digest_and_has_a_record(pause):
    record = cache.load(pause.parent)
    assert record is not None
    assert record.subject == "pause v1"
    assert pause.parent.name == golang.digest(TOOLS["pause"], golang.find())
