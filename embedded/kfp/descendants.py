"""Kill all descendants of a process, including those that detached from it.

The orphans among its descendants are reparented to a child subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): a
process that forked twice or started its own session becomes its child when the process between them ends.
"""

import ctypes
import operator
import os
import signal
from collections.abc import Collection
from pathlib import Path
from typing import Final

from slipway.core.waiting import poll

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_CHILD_SUBREAPER: Final = 36
_PAUSE: Final = 0.002


def adopt_orphans() -> None:
    """Make this process the parent of its orphaned descendants."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have this process killed when the thread that forked it ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def traceable(allowed: bool) -> None:
    """Set whether processes of the same user may access this one's memory and descriptors."""
    _prctl(_PR_SET_DUMPABLE, int(allowed))


def kill_all(keep: Collection[int] = (), seconds: float = 10.0) -> bool:
    """Kill and reap every descendant except the children in `keep` and their descendants.

    Returns whether none is left after `seconds`; a process that forks faster than it is found can survive.
    """

    def left() -> list[int]:
        _reap(keep)
        return _descendants(os.getpid(), keep)

    def kill(pids: list[int]) -> None:
        for pid in pids:
            _kill(pid)

    return not poll(left, operator.not_, seconds=seconds, interval=_PAUSE, meanwhile=kill)


def _reap(keep: Collection[int]) -> None:
    for pid in _children_by_parent().get(os.getpid(), ()):
        if pid not in keep:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue


def _descendants(root: int, keep: Collection[int]) -> list[int]:
    children = _children_by_parent()
    pending = [pid for pid in children.get(root, ()) if pid not in keep]
    every = []
    while pending:
        pid = pending.pop()
        every.append(pid)
        pending += children.get(pid, ())
    return every


def _children_by_parent() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - only names, many times a second
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue  # the process has ended
            children.setdefault(int(fields[1]), []).append(int(entry))
    return children


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")
