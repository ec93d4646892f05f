"""Files appear whole, once, and with the mode that was asked for."""

import os
import stat
import threading

import pytest

from slipway.core import atomic_files


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def _umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.parametrize(("mode", "becomes"), [(None, 0o640), (0o600, 0o600), (0o666, 0o666)])
def test_mode_of_a_written_file(tmp_path, mode, becomes):
    path = tmp_path / "settings.yaml"
    atomic_files.replace(path, "größe: 1\r\n", mode=mode)
    assert path.read_bytes() == "größe: 1\r\n".encode()
    assert _mode(path) == becomes


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "key"
    atomic_files.replace(path, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomic_files.replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_create_keeps_a_file_that_exists(tmp_path):
    path = tmp_path / "passphrase"
    assert atomic_files.create(path, "first", mode=atomic_files.PRIVATE)
    assert not atomic_files.create(path, "second", mode=atomic_files.PRIVATE)
    assert path.read_text() == "first"
    assert _mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_of_many_creators_one_makes_the_file(tmp_path):
    path = tmp_path / "passphrase"
    together = threading.Barrier(8)
    made = []

    def create(number):
        together.wait(30)
        if atomic_files.create(path, f"{number}"):
            made.append(f"{number}")

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [path.read_text()]


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "record"
    contents = [letter * 100_000 for letter in "ab"]
    atomic_files.replace(path, contents[0])
    stop = threading.Event()
    seen = set()

    def read():
        while not stop.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(20):
        atomic_files.replace(path, contents[turn % 2])
    stop.set()
    reader.join()
    assert seen <= set(contents)
