"""Entries are whole or absent, one process at a time makes them, and old ones can be removed."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from embedded.toolchain import cache
from embedded.toolchain.processes import Interrupted


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _publish(name: str, seconds: float = 1.0, text: str = "program"):
    shelf = cache.shelf("tools", "etcd")
    with cache.locked(shelf, "etcd"), cache.staging(shelf) as work:
        (work / "out").mkdir()
        (work / "out" / "etcd").write_text(text)
        cache.publish(work / "out", shelf / name, subject="etcd v1", seconds=seconds)
    return shelf / name


def test_without_a_choice_it_is_in_the_home(monkeypatch, tmp_path):
    monkeypatch.delenv("SLIPWAY_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.root() == tmp_path / ".cache" / "slipway"


def test_an_entry_appears_with_its_record():
    entry = _publish("a" * 16, seconds=12.3)
    record = cache.load(entry)
    assert record is not None
    assert (record.subject, record.seconds, record.sizes) == ("etcd v1", 12.3, {"etcd": 7})
    assert sorted(path.name for path in entry.parent.iterdir()) == [".lock", "a" * 16]


@pytest.mark.parametrize("harm", ["shorter", "gone", "no record", "bad record"])
def test_a_damaged_entry_counts_as_missing_and_is_replaced(harm):
    entry = _publish("a" * 16)
    program = entry / "etcd"
    if harm == "shorter":
        program.write_text("prog")
    elif harm == "gone":
        program.unlink()
    elif harm == "no record":
        (entry / "record.json").unlink()
    else:
        (entry / "record.json").write_text('{"subject"')
    assert cache.load(entry) is None
    _publish("a" * 16)
    assert cache.load(entry) is not None, "a rerun mends it"


def test_an_error_in_a_build_leaves_no_work_folder():
    shelf = cache.shelf("tools", "etcd")
    with pytest.raises(ZeroDivisionError), cache.locked(shelf, "etcd"), cache.staging(shelf) as work:
        (work / "half").write_text("half")
        raise ZeroDivisionError
    assert [path.name for path in shelf.iterdir()] == [".lock"]


def test_what_a_killed_build_left_is_removed_by_the_next():
    shelf = cache.shelf("tools", "etcd")
    (shelf / ".building-killed" / "scratch").mkdir(parents=True)
    _publish("a" * 16)
    assert not (shelf / ".building-killed").exists()


_HOLDER = """
import sys, time
from embedded.toolchain import cache
with cache.locked(cache.shelf("tools", "etcd"), "etcd"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder():
    process = subprocess.Popen([sys.executable, "-c", _HOLDER], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_waits_until_the_first_is_killed(holder):
    lines = []

    def kill_holder(line):
        lines.append(line)
        holder.kill()

    with cache.locked(cache.shelf("tools", "etcd"), "etcd v1", kill_holder):
        assert holder.wait() == -signal.SIGKILL
    assert lines == ["etcd v1: another process is making it; waiting"]


def test_waiting_can_be_called_off(holder):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Interrupted), cache.locked(cache.shelf("tools", "etcd"), "etcd", cancel=cancel):
        pytest.fail("the lock is held by another process")


def test_prune_keeps_the_newest_entries_and_says_what_it_freed():
    entries = []
    for number in range(4):
        entries.append(_publish(str(number) * 16, text="x" * 1000))
        time.sleep(0.01)
    assert cache.prune(kept=2) >= 2000
    assert [entry.exists() for entry in entries] == [False, False, True, True]
    assert cache.prune(kept=2) == 0
    assert [path.name for path in entries[0].parent.glob(".building-*")] == []


def test_the_last_build_is_the_newest_whatever_its_digest():
    shelf = cache.shelf("tools", "etcd")
    assert cache.latest(shelf) is None
    _publish("a" * 16, seconds=1)
    time.sleep(0.01)
    _publish("b" * 16, seconds=2)
    assert cache.latest(shelf).seconds == 2
