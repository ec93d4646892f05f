"""The server's side of step processes: start one, wait for it, kill it by letting go."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TUNING: Final = ("MALLOC_ARENA_MAX", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_STORE: Final = ("AWS_CA_BUNDLE", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3")
"""Where the store is and whom to trust; a key is not among it."""

_GRACE: Final = 5.0
_LINE_LIMIT: Final = 1 << 16


class StepLostError(RuntimeError):
    """The process that steps are forked from ended under a step."""


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
        """As one line for `embedded.kfp.step`."""
        body = {
            "function": self.function,
            "source": self.source,
            "input": self.executor_input,
            "env": {**_base_environment(self.folder), **self.env},
            "folder": str(self.folder),
            "log": str(self.log),
        }
        return json.dumps(body).encode() + b"\n"


def _base_environment(folder: Path) -> dict[str, str]:
    # All that a step gets: nothing of the server's own environment, credentials least of all.
    return {
        "PATH": f"{Path(sys.executable).parent}:{_PATH}",
        "HOME": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "_KFP_RUNTIME": "true",
        **{name: os.environ[name] for name in (*_TUNING, *_STORE) if name in os.environ},
    }


class StepProcesses:
    """Keeps the process that steps are forked from, and starts a new one when it is gone."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        """`preload` names modules that steps import often: they are loaded once, before the fork."""
        self._preload = tuple(preload)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Start it ahead of the first step, so that the first step needn't wait for the SDK."""
        with self._lock:
            self._ensure()

    async def run(self, request: StepRequest) -> int:
        """Run a step to its end and return its exit code, negative for a signal.

        Cancelling this kills the step's process group.
        """
        with self._lock:
            ours = self._connect()
        reader, writer = await asyncio.open_connection(sock=ours, limit=_LINE_LIMIT)
        try:
            writer.write(request.encoded())
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            answer = await reader.readline()
        finally:
            writer.close()
        if not answer:
            raise StepLostError("the process that steps are forked from ended unexpectedly")
        return int(json.loads(answer)["exit"])

    def close(self) -> None:
        """Kill every step and the process they are forked from."""
        with self._lock:
            if self._control is not None:
                self._control.close()
            if self._process is not None:
                try:
                    self._process.wait(_GRACE)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
            self._process = self._control = None

    def _connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            for attempt in range(2):
                control = self._ensure()
                try:
                    socket.send_fds(control, [b"+"], [theirs.fileno()])
                    break
                except OSError:
                    if attempt:
                        ours.close()
                        raise
                    self._drop()
        ours.setblocking(False)
        return ours

    def _ensure(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self._drop()
        if self._control is None:
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "embedded.kfp.step", *self._preload],
                    stdin=theirs.fileno(),
                    env={**_base_environment(Path("/tmp")), "TMPDIR": "/tmp", **_import_path()},  # noqa: S108
                    start_new_session=True,
                )
            self._control = ours
        return self._control

    def _drop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._control = None


def _import_path() -> dict[str, str]:
    return {"PYTHONPATH": path} if (path := os.environ.get("PYTHONPATH")) else {}
