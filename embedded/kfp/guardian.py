"""The guardian of a step: a process between the parent of all steps and the step.

It forks the step, waits for it, and kills everything that the step started before it reports the step's exit
status. When the server closes the guardian's connection or dies, or when the parent of all steps dies, the
guardian kills the step with all of its descendants.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import stat
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

from embedded.kfp import descendants

_CHUNK: Final = 1 << 16
_KILLED: Final = -int(signal.SIGKILL)

Run = Callable[[dict[str, Any], int], NoReturn]
"""Runs a step in this process, given the request and the descriptor of its log; does not return."""


def guard(connection: socket.socket, log: int, run: Run) -> NoReturn:
    """Serve one connection until it ends; called in a forked process."""
    code = 1
    try:
        parent = os.pidfd_open(os.getppid())
        descendants.adopt_orphans()
        request = _request(connection)
        if request is not None:
            code = _serve(connection, log, request, parent, run)
    except BaseException:  # noqa: BLE001 - the parent's code must never continue in this process
        traceback.print_exc()
        descendants.kill_all()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _request(connection: socket.socket) -> dict[str, Any] | None:
    received = bytearray()
    while not received.endswith(b"\n"):
        data = connection.recv(_CHUNK)
        if not data:
            return None
        received += data
    request: dict[str, Any] = json.loads(received)
    return request


def _serve(connection: socket.socket, log: int, request: dict[str, Any], parent: int, run: Run) -> int:
    guardian = os.getpid()
    step = os.fork()
    if step == 0:
        descendants.die_with_parent()
        if os.getppid() == guardian:
            connection.detach()
            run(request, log)
        os._exit(1)
    os.close(log)
    status = _wait(step, connection, parent)
    all_ended = descendants.kill_all()
    _share(Path(request["folder"]))
    with contextlib.suppress(OSError):
        if status is not None:
            connection.sendall(json.dumps({"exit": status}).encode() + b"\n")
    connection.close()
    return 0 if all_ended else 1


def _wait(step: int, connection: socket.socket, parent: int) -> int | None:
    """Return the step's exit status, SIGKILL if the server closed the connection, None if the parent died."""
    watch = os.pidfd_open(step)
    with selectors.DefaultSelector() as selector:
        for descriptor in (watch, connection.fileno(), parent):
            selector.register(descriptor, selectors.EVENT_READ)
        ready = {key.fd for key, _ in selector.select()}
    if watch in ready:
        _, status = os.waitpid(step, 0)
        return os.waitstatus_to_exitcode(status)
    return None if parent in ready else _KILLED


def _share(folder: Path) -> None:
    """Give the folder's group, which the server belongs to, access to all files of the step."""
    with contextlib.suppress(OSError):
        _give_to_group(folder, folder.stat().st_gid)


def _give_to_group(folder: Path, group: int) -> None:
    for _, folders, files, below in os.fwalk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(OSError):
                status = os.stat(name, dir_fd=below, follow_symlinks=False)
                if status.st_uid != os.getuid() or stat.S_ISLNK(status.st_mode):
                    continue
                if status.st_gid != group:
                    os.chown(name, -1, group, dir_fd=below, follow_symlinks=False)
                group_mode = 0o2770 if stat.S_ISDIR(status.st_mode) else 0o660
                os.chmod(name, stat.S_IMODE(status.st_mode) | group_mode, dir_fd=below)
