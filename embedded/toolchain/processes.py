"""Runs a long child process: its output is read line by line, and it ends with an interruption."""

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_GRACE = 5.0
"""Go stops and removes its work folder in less time."""


class Interrupted(Exception):  # noqa: N818 - the work was cancelled; nothing is wrong
    """The caller cancelled the work; its processes have ended."""


def follow(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    line: Callable[[str], None],
    started: Callable[[int], None] = lambda _group: None,
    cancel: threading.Event | None = None,
    grace: float = _GRACE,
) -> int:
    """Run a command in its own process group and pass on each line that it prints.

    If this call ends early (the cancel event, Ctrl-C, an error in `line`), it ends the whole group
    first, so no compiler keeps running unnoticed.

    Args:
        command: What to run; contains no secret.
        cwd: Where to run it.
        env: Its whole environment.
        line: Takes each line of its output and errors, without the newline.
        started: Takes the id of the process group.
        cancel: Set by another thread to cancel the work.
        grace: Seconds between asking the group to stop and killing it.

    Returns:
        The exit code.

    Raises:
        Interrupted: `cancel` was set.
    """
    process = subprocess.Popen(
        [*_dies_with_us(), *command],
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        process_group=0,
        text=True,
        errors="replace",
    )
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    try:
        started(process.pid)
        while (text := _next(lines, process)) is not None:
            if cancel is not None and cancel.is_set():
                raise Interrupted
            if text:
                line(text)
        return process.wait()
    finally:
        _end(process, grace)
        reader.join(timeout=_GRACE)
        assert process.stdout is not None
        if not reader.is_alive():
            process.stdout.close()


def _dies_with_us() -> list[str]:
    """A prefix that makes the kernel end the child if this process is killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def _read(process: subprocess.Popen[str], lines: "queue.SimpleQueue[str | None]") -> None:
    assert process.stdout is not None
    with contextlib.suppress(ValueError, OSError):
        for text in process.stdout:
            lines.put(text.rstrip("\n"))
    lines.put(None)


def _next(lines: "queue.SimpleQueue[str | None]", process: subprocess.Popen[str]) -> str | None:
    """The next line; empty if there is none for a moment, None when there will be no more."""
    try:
        return lines.get(timeout=0.2)
    except queue.Empty:
        if process.poll() is None:
            return ""
    # The command has ended: its last lines may not have been read yet, or a grandchild keeps the pipe open.
    try:
        return lines.get(timeout=_GRACE)
    except queue.Empty:
        return None


def _end(process: subprocess.Popen[str], grace: float) -> None:
    """End every process of the group: first with SIGINT, so that it removes its own files."""
    if process.poll() is None:
        _signal(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    _signal(process.pid, signal.SIGKILL)
    process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def running(group: int) -> set[str]:
    """The names of the programs that now run in a process group."""
    names = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            head, _, tail = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")
            if int(tail.split()[2]) == group:
                names.add(head.partition("(")[2])
    return names
