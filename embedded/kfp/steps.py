"""The step parent: the process that forks the steps, so that Python and the SDK are loaded only once.

`python -m embedded.kfp.steps` has a control socket to the server, over which it receives two descriptors for
each step: a connection and the step's log. The server sends a request in JSON over the connection and
receives the exit status. A fork takes milliseconds; a new interpreter with the SDK takes half a second.

In a pod, it is the first process of its own container, has its own user, and connects to the server's socket
(`--connect`). Outside a pod, the server starts it with the control socket as standard input. Each step has a
guardian (`guardian`) between it and this process. This process is also a subreaper: it kills the processes
that a killed guardian leaves behind.
"""

import argparse
import contextlib
import importlib
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from embedded.kfp import descendants, guardian
from slipway.core.waiting import poll

_RECONNECT_SECONDS: Final = 0.2
_LAST_RESORT_SECONDS: Final = 10


class Parent:
    """Accepts connections, forks guardians, and kills the processes that they leave behind."""

    def __init__(self, run: guardian.Run) -> None:
        """`run` runs a step in the forked process."""
        self._run = run
        self._guardians: set[int] = set()
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(
            signal.SIGCHLD, lambda *_: None
        )  # the wakeup descriptor is only written if there is a handler
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def serve(self, control: socket.socket) -> None:
        """Serve until the control socket closes."""
        with selectors.DefaultSelector() as selector:
            selector.register(control, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is control:
                        if not self._accept(control):
                            self._end_all()
                            return
                    else:
                        self._reap()

    def _accept(self, control: socket.socket) -> bool:
        try:
            message, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        except ConnectionError:
            return False
        if not message:
            return False
        if len(descriptors) != 2:
            for descriptor in descriptors:
                os.close(descriptor)
            return True
        connection, log = socket.socket(fileno=descriptors[0]), descriptors[1]
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(self._wake)
            os.close(self._woken)
            control.close()
            guardian.guard(connection, log, self._run)
        self._guardians.add(pid)
        connection.close()
        os.close(log)
        return True

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)
        for pid in list(self._guardians):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._guardians.discard(pid)
        if not descendants.kill_all(keep=self._guardians, seconds=_LAST_RESORT_SECONDS):
            self._kill_everything()

    def _end_all(self) -> None:
        """Wait for the guardians, which end because their connections are closed."""

        def ended() -> bool:
            self._reap()
            return not self._guardians

        poll(ended, seconds=_LAST_RESORT_SECONDS, interval=0.01)
        if not descendants.kill_all():
            self._kill_everything()
        self._guardians.clear()

    def _kill_everything(self) -> None:
        # Kills all processes of the container at once, including other steps; no fork can escape it.
        if os.getpid() == 1:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the server disconnects; in a pod, serve the next server too, until stopped by a signal.

    If stopped while a server is connected, continue: the server ends the steps and records the reason.
    """
    options = _parser().parse_args(arguments)
    stopping = _stop_signals(ignored=options.connect is None)
    descendants.adopt_orphans()
    descendants.traceable(False)
    # Imported once, after the signal handlers are set: it takes half a second, and the modules more.
    from embedded.kfp.step import run  # noqa: PLC0415

    for module in options.preload.split(","):
        with contextlib.suppress(ImportError):
            if module:
                importlib.import_module(module)
    parent = Parent(run)
    if options.connect is None:
        parent.serve(socket.socket(fileno=os.dup(0)))
        return 0
    os.umask(0o007)
    while not stopping():
        try:
            with socket.socket(socket.AF_UNIX) as control:
                control.connect(str(options.connect))
                parent.serve(control)
        except OSError:
            time.sleep(_RECONNECT_SECONDS)
    return 0


def _stop_signals(*, ignored: bool) -> Callable[[], bool]:
    """Handle SIGINT and SIGTERM; return a function that tells whether one was received."""
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        # Ctrl-C in a terminal signals the whole process group; the server decides when this process ends.
        signal.signal(
            number, signal.SIG_IGN if ignored else lambda received_signal, _: received.append(received_signal)
        )
    return lambda: bool(received)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m embedded.kfp.steps", description=__doc__)
    parser.add_argument("--connect", type=Path, help="the server's socket (default: standard input)")
    parser.add_argument("--preload", default="", help="comma-separated modules to load for all steps")
    return parser


if __name__ == "__main__":
    sys.exit(main())
