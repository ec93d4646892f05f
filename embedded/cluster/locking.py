"""One change at a time: `start`, `stop` and `delete` of an instance wait for each other."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded.instance import Instance
from slipway.core.report import Report, silent


@contextmanager
def changing(instance: Instance, report: Report = silent) -> Iterator[None]:
    """Hold the instance; say so if another command holds it and wait for that."""
    with holding(instance.run, lambda: report(f"waiting for another command that changes {instance.name}")):
        yield


@contextmanager
def holding(folder: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a folder, made if missing. The holder may delete it, so whoever waited looks again."""
    while True:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait:
                on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        if _is_still(folder, handle):
            break
        os.close(handle)
    try:
        yield
    finally:
        os.close(handle)


def _is_still(folder: Path, handle: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
