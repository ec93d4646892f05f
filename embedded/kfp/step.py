"""The process that steps are forked from: Python and the SDK's executor are loaded once, not per step.

`python -m embedded.kfp.step` is started by the server with a clean environment and a control socket on its
standard input. Each step is one connection handed over that socket: a request in JSON goes in, the exit
status comes back. A fork takes milliseconds where a fresh interpreter with the SDK takes half a second.

The life of a step hangs on its connection: when the server closes it, or dies, the step's whole process group
is killed. A step therefore never outlives the run that wants it.

Two private names of the SDK are used here and nowhere else: the folder that artifact paths start with
(`kfp.dsl.types.artifact_types`), so that `s3://b/k` is a path below the step's own folder, and
`kfp.dsl.executor.Executor`.
"""

import contextlib
import ctypes
import importlib
import json
import os
import random
import selectors
import signal
import socket
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1
_CHUNK: Final = 1 << 16


@dataclass(eq=False)
class _Job:
    """A connection and, once its request is complete, the process that serves it."""

    connection: socket.socket
    received: bytearray = field(default_factory=bytearray)
    pid: int = 0
    watch: int = -1


class _Parent:
    """Accepts requests, forks, reports exits."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ, None)
        self._jobs: set[_Job] = set()

    def serve(self) -> dict[str, Any] | None:
        """Return a request in the process forked for it, or None when the server is gone."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._control:
                    if not self._accept():
                        return None
                elif key.data not in self._jobs:
                    continue  # ended by an earlier event of the same round
                elif isinstance(key.fileobj, int):
                    self._reap(key.data)
                else:
                    request = self._read(key.data)
                    if request is not None:
                        return request

    def _accept(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        if not message:
            for job in list(self._jobs):
                self._end(job)
            return False
        for descriptor in descriptors:
            connection = socket.socket(fileno=descriptor)
            connection.setblocking(False)
            job = _Job(connection)
            self._jobs.add(job)
            self._selector.register(connection, selectors.EVENT_READ, job)
        return True

    def _read(self, job: _Job) -> dict[str, Any] | None:
        try:
            data = job.connection.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self._end(job)
            return None
        job.received += data
        if job.pid or not job.received.endswith(b"\n"):
            return None
        return self._fork(job)

    def _fork(self, job: _Job) -> dict[str, Any] | None:
        job.pid = os.fork()
        if job.pid == 0:
            self._forget()
            request: dict[str, Any] = json.loads(job.received)
            return request
        job.received.clear()
        job.watch = os.pidfd_open(job.pid)
        self._selector.register(job.watch, selectors.EVENT_READ, job)
        return None

    def _forget(self) -> None:
        """Let go of every descriptor, in the fork: a socket collected later would close a step's file."""
        for job in self._jobs:
            job.connection.detach()
        self._control.detach()
        self._selector.close()

    def _reap(self, job: _Job) -> None:
        # Until waitpid the pid can't be used again, so this can't hit anybody else's group.
        _kill_group(job.pid)
        _, status = os.waitpid(job.pid, 0)
        answer = json.dumps({"exit": os.waitstatus_to_exitcode(status)}).encode() + b"\n"
        job.pid = 0
        with contextlib.suppress(OSError):
            job.connection.sendall(answer)
        self._end(job)

    def _end(self, job: _Job) -> None:
        self._jobs.discard(job)
        if job.pid:
            _kill_group(job.pid)
            os.waitpid(job.pid, 0)
        if job.watch >= 0:
            self._selector.unregister(job.watch)
            os.close(job.watch)
        self._selector.unregister(job.connection)
        job.connection.close()


def _kill_group(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _become_step(request: dict[str, Any]) -> None:
    """Turn the forked process into the step's own: group, files, environment, folder, randomness."""
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 4096 else 4096)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _run(request: dict[str, Any]) -> int:
    from kfp.dsl import executor, utils  # noqa: PLC0415 - already loaded before the fork
    from kfp.dsl.types import artifact_types  # noqa: PLC0415

    for scheme in ("s3", "minio"):
        setattr(artifact_types, f"_{scheme.upper()}_LOCAL_MOUNT_PREFIX", f"{request['folder']}/{scheme}/")
    source = Path(request["folder"]) / "ephemeral_component.py"
    source.write_text(request["source"], encoding="utf-8")
    try:
        module = utils.load_module(module_name=source.stem, module_directory=str(source.parent))
        function = getattr(module, request["function"])
        executor.Executor(executor_input=request["input"], function_to_execute=function).execute()
    except SystemExit:
        raise
    except BaseException:  # noqa: BLE001 - whatever a step raises is its outcome
        traceback.print_exc()
        return 1
    return 0


def main() -> int:
    """Serve until the control socket closes; in a forked process, run one step."""
    control = socket.socket(fileno=os.dup(0))
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        # A Ctrl-C in a terminal reaches the whole group; the server decides when this one ends.
        signal.signal(signal_number, signal.SIG_IGN)
    import kfp.dsl.executor  # noqa: F401, PLC0415 - after the signals: it takes half a second

    for module in sys.argv[1:]:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)

    request = _Parent(control).serve()
    if request is None:
        return 0
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, signal.SIG_DFL)
    _become_step(request)
    return _run(request)


if __name__ == "__main__":
    sys.exit(main())
