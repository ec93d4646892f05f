"""One step's guardian: a process between the parent of all steps and the step.

It forks the step, waits for it, and ends everything that the step started, before it reports how the step
ended. The life of a step hangs on the guardian's connection to the server: when the server closes its side,
or dies, or the parent of all steps dies, the step is killed with all of its descendants.
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
"""Becomes a step: takes the request and the descriptor of its log, and doesn't return."""


def guard(connection: socket.socket, log: int, run: Run) -> NoReturn:
    """Serve one connection to its end, in a process of its own."""
    code = 1
    try:
        parent = os.pidfd_open(os.getppid())
        descendants.adopt_orphans()
        request = _request(connection)
        if request is not None:
            code = _serve(connection, log, request, parent, run)
    except BaseException:  # noqa: BLE001 - whatever it is, the parent's code must not go on in this process
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
    gone = descendants.kill_all()
    _share(Path(request["folder"]))
    with contextlib.suppress(OSError):
        if status is not None:
            connection.sendall(json.dumps({"exit": status}).encode() + b"\n")
    connection.close()
    return 0 if gone else 1


def _wait(step: int, connection: socket.socket, parent: int) -> int | None:
    """Return how the step ended, killed where the server let go; None where the parent is gone."""
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
    """Let the folder's group, in which the server is, read and remove all that the step left."""
    with contextlib.suppress(OSError):
        _give_to_group(folder, folder.stat().st_gid)


def _give_to_group(folder: Path, group: int) -> None:
    for _, folders, files, below in os.fwalk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(OSError):
                found = os.stat(name, dir_fd=below, follow_symlinks=False)
                if found.st_uid != os.getuid() or stat.S_ISLNK(found.st_mode):
                    continue
                if found.st_gid != group:
                    os.chown(name, -1, group, dir_fd=below, follow_symlinks=False)
                wanted = 0o2770 if stat.S_ISDIR(found.st_mode) else 0o660
                os.chmod(name, stat.S_IMODE(found.st_mode) | wanted, dir_fd=below)
