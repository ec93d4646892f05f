"""The server's side of step processes: start a step, wait for it, and kill it by closing its connection.

Steps are forked from the step parent, a process (`steps`) at the other end of a control socket. In a pod, it
runs in its own container and connects to the socket that the server listens on; otherwise the server starts
it.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TUNING: Final = ("MALLOC_ARENA_MAX", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_STORE: Final = ("AWS_CA_BUNDLE", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3")
"""Endpoint and CA bundle of the store; no credentials."""

_GRACE: Final = 5.0
_CONNECT_SECONDS: Final = 60.0
_END_SECONDS: Final = 15.0
"""Limit for a step to end after its connection is closed; its guardian gives up after 10 s."""
_LINE_LIMIT: Final = 1 << 16


class StepLostError(RuntimeError):
    """The step parent ended while a step was running, or is not connected."""


@dataclass(frozen=True, slots=True)
class StepRequest:
    """One attempt of one step."""

    function: str
    source: str
    executor_input: Mapping[str, Any]
    env: Mapping[str, str]
    folder: Path
    log: Path

    def encoded(self) -> bytes:
        """Encode as one line for `embedded.kfp.guardian`."""
        body = {
            "function": self.function,
            "source": self.source,
            "input": self.executor_input,
            "env": {**_base_environment(self.folder), **self.env},
            "folder": str(self.folder),
        }
        return json.dumps(body).encode() + b"\n"


class Control(Protocol):
    """Provides the control socket of the step parent."""

    def connected(self) -> socket.socket | None:
        """The socket; None if the step parent is not connected."""

    def drop(self) -> None:
        """Close a socket whose peer is gone."""

    def close(self) -> None:
        """Close permanently; this kills every step."""


class StepProcesses:
    """Runs steps. Methods may be called from any thread."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._lock = threading.Lock()

    def start(self) -> None:
        """Connect before the first step, so that it doesn't wait until the SDK is loaded."""
        with self._lock:
            self._control.connected()

    async def run(self, request: StepRequest) -> int:
        """Run a step and return its exit code, negative for a signal.

        Cancellation kills the step and all its descendants, and waits until they have ended.
        """
        reader, writer = await asyncio.open_connection(
            sock=await self._connection(request.log), limit=_LINE_LIMIT
        )
        try:
            writer.write(request.encoded())
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            reply = await reader.readline()
        except asyncio.CancelledError:
            await _end(reader, writer)
            raise
        finally:
            writer.close()
        if not reply:
            raise StepLostError("the process that forks the steps ended unexpectedly")
        return int(json.loads(reply)["exit"])

    def close(self) -> None:
        """Kill every step and disconnect from the step parent."""
        with self._lock:
            self._control.close()

    async def _connection(self, log: Path) -> socket.socket:
        """Open a connection to a new guardian, which also receives the step's log."""
        deadline = time.monotonic() + _CONNECT_SECONDS
        while True:
            with self._lock:
                local = self._hand_over(log)
            if local is not None:
                return local
            if time.monotonic() > deadline:
                raise StepLostError("the process that forks the steps is not connected")
            await asyncio.sleep(0.1)

    def _hand_over(self, log: Path) -> socket.socket | None:
        control = self._control.connected()
        if control is None:
            return None
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        local, remote = socket.socketpair()
        try:
            socket.send_fds(control, [b"+"], [remote.fileno(), output])
        except OSError:
            local.close()
            self._control.drop()
            return None
        finally:
            remote.close()
            os.close(output)
        local.setblocking(False)
        return local


class Spawned:
    """A step parent that the server starts and stops, with the server's user."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        """`preload` are modules that many steps import; they are loaded once, before the fork."""
        self._preload = tuple(preload)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def connected(self) -> socket.socket:
        """See Control."""
        if self._process is not None and self._process.poll() is not None:
            self.drop()
        if self._socket is None:
            local, remote = socket.socketpair()
            with remote:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "embedded.kfp.steps", "--preload", ",".join(self._preload)],
                    stdin=remote.fileno(),
                    env={**_base_environment(Path("/tmp")), "TMPDIR": "/tmp", **_import_path()},  # noqa: S108
                    start_new_session=True,
                )
            self._socket = local
        return self._socket

    def drop(self) -> None:
        """See Control."""
        self._end(0)

    def close(self) -> None:
        """See Control."""
        self._end(_GRACE)

    def _end(self, seconds: float) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = self._socket = None


class Listening:
    """A step parent in another container, which connects to a Unix socket; one at a time."""

    def __init__(self, path: Path) -> None:
        """Listen at `path`, in a folder that steps can't write; an existing socket is replaced."""
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o660)
        self._listener.listen()
        self._listener.setblocking(False)
        self._socket: socket.socket | None = None

    def connected(self) -> socket.socket | None:
        """See Control. The first connection is used: steps can only connect after it."""
        while self._socket is None:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return None
            if _is_open(connection):
                self._socket = connection
            else:
                connection.close()
        return self._socket

    def drop(self) -> None:
        """See Control."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def close(self) -> None:
        """See Control."""
        self.drop()
        self._listener.close()


def _is_open(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


async def _end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, TimeoutError, ValueError):
        writer.write_eof()
        await asyncio.wait_for(reader.readline(), _END_SECONDS)


def _base_environment(folder: Path) -> dict[str, str]:
    # The complete environment of a step. It must not contain the server's credentials.
    return {
        "PATH": f"{Path(sys.executable).parent}:{_PATH}",
        "HOME": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "_KFP_RUNTIME": "true",
        **{name: os.environ[name] for name in (*_TUNING, *_STORE) if name in os.environ},
    }


def _import_path() -> dict[str, str]:
    return {"PYTHONPATH": path} if (path := os.environ.get("PYTHONPATH")) else {}
