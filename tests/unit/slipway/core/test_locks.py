"""Locks exclude other processes, end with their holder, and can be refused or given up."""

import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from slipway.core.locks import LockHeldError, locked

_HOLDER = """
import sys, time
from pathlib import Path
from slipway.core.locks import locked
with locked(Path(sys.argv[1]), folder=sys.argv[2] == "folder"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["file", "folder"])
def kind(request):
    return request.param


@pytest.fixture
def place(tmp_path, kind):
    return tmp_path / "made" / kind


@pytest.fixture
def holder(place, kind):
    command = [sys.executable, "-c", _HOLDER, str(place), kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_killed_holder_lets_the_waiting_process_on(holder, place, kind):
    waiting = []

    def on_wait():
        waiting.append(True)
        os.kill(holder.pid, signal.SIGKILL)

    with locked(place, folder=kind == "folder", on_wait=on_wait):
        assert holder.wait(30) == -signal.SIGKILL
    assert waiting == [True]


def test_a_held_lock_is_refused_without_a_wait(holder, place, kind):
    with pytest.raises(LockHeldError), locked(place, folder=kind == "folder", wait=False):
        pytest.fail("the lock is held by another process")


def test_a_free_lock_is_taken_without_a_wait(place, kind):
    for _ in range(2):
        with locked(place, folder=kind == "folder", wait=False, on_wait=pytest.fail):
            pass


def test_waiting_ends_when_it_is_cancelled(holder, place, kind):
    turns = iter([False, False, True])
    with (
        pytest.raises(LockHeldError),
        locked(place, folder=kind == "folder", cancelled=lambda: next(turns)),
    ):
        pytest.fail("the lock is held by another process")
    assert list(turns) == []


def test_threads_of_one_process_exclude_each_other(place, kind):
    inside, most = [], []

    def work():
        with locked(place, folder=kind == "folder"):
            inside.append(True)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_a_process_that_waited_makes_a_deleted_folder(tmp_path):
    place = tmp_path / "run"
    waits, deleted = threading.Event(), []

    def follow():
        with locked(place, folder=True, on_wait=waits.set):
            deleted.append(place.is_dir())

    follower = threading.Thread(target=follow)
    with locked(place, folder=True):
        follower.start()
        assert waits.wait(30)
        shutil.rmtree(place)
    follower.join()
    assert deleted == [True]


def test_nothing_is_left_in_a_locked_folder(tmp_path):
    with locked(tmp_path, folder=True):
        assert list(tmp_path.iterdir()) == []
