"""Locks between processes: the kernel's own (flock), released when their holder ends for any reason.

Folders can be locked as well as files, so that no lock file is left in a user's folder. The library
`filelock` locks only files: it would put one into a checkout's `tenants/`, and beside deleted folders.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_INTERVAL_SECONDS: Final = 0.1


class LockHeldError(Exception):
    """Another process, or another thread of this one, holds the lock."""


@contextmanager
def locked(
    path: Path,
    *,
    folder: bool = False,
    wait: bool = True,
    on_wait: Callable[[], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Iterator[None]:
    """Hold the lock on a file or folder, created if missing, to the end of the block.

    The holder may delete it: a waiting process then creates and locks a new one.

    Args:
        path: The file or folder to lock.
        folder: Whether it is a folder.
        wait: False raises at once if the lock is held.
        on_wait: Called when a wait begins.
        cancelled: Called several times a second during a wait; True ends the wait.

    Raises:
        LockHeldError: The lock is held, and `wait` is false or the wait was cancelled.
    """
    descriptor = _acquired(path, folder, wait, on_wait, cancelled)
    try:
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file until it is closed; return whether that was possible. Never waits."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _acquired(
    path: Path,
    folder: bool,
    wait: bool,
    on_wait: Callable[[], None] | None,
    cancelled: Callable[[], bool] | None,
) -> int:
    while True:
        try:
            descriptor = _opened(path, folder)
        except FileNotFoundError:
            continue  # a holder deleted it after its creation
        try:
            if not try_lock(descriptor):
                _wait(path, descriptor, on_wait, cancelled if wait else lambda: True)
            if _is_still(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _wait(
    path: Path, descriptor: int, on_wait: Callable[[], None] | None, cancelled: Callable[[], bool] | None
) -> None:
    if on_wait:
        on_wait()
    while not try_lock(descriptor):
        if cancelled and cancelled():
            raise LockHeldError(path)
        time.sleep(_INTERVAL_SECONDS)


def _opened(path: Path, folder: bool) -> int:
    if folder:
        path.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
