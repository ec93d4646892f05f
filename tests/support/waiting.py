"""Waiting in a test for what happens some time later."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
PATIENCE_SECONDS = 120.0
"""Only a test that fails waits this long, so it allows for a busy machine."""


def eventually(look: Callable[[], T], seconds: float = PATIENCE_SECONDS, interval: float = 0.05) -> T:
    """Call `look` until it returns a true value, and return that.

    An exception counts as a false value, apart from an AssertionError, which ends the wait.

    Raises:
        AssertionError: No true value in time; its cause is the last exception.
    """
    deadline = time.monotonic() + seconds
    while True:
        problem: Exception | None = None
        try:
            if value := look():
                return value
        except AssertionError:
            raise
        except Exception as error:  # noqa: BLE001 - retried until the time is over
            problem = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s") from problem
        time.sleep(interval)


def gone(pid: int) -> bool:
    """Whether a process has ended; it may be a zombie that nobody has reaped yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
