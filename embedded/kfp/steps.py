"""The process that steps are forked from: Python and the SDK's executor are loaded once, not per step.

`python -m embedded.kfp.steps` has a control socket to the server, over which it is handed two descriptors for
each step: a connection and the step's log. A request in JSON comes over the connection, the exit status goes
back. A fork takes milliseconds where a fresh interpreter with the SDK takes half a second.

In a pod it is the first process of a container of its own, under a user of its own, and connects to the
server's socket (`--connect`). On its own machine the server starts it, with the control socket as standard
input. Between it and each step is a guardian (`guardian`). It is a subreaper too: what is left by a guardian
that was killed comes to it, and is killed.
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
    """Accepts connections, forks guardians, ends what they leave."""

    def __init__(self, run: guardian.Run) -> None:
        """`run` becomes a step, in the process forked for it."""
        self._run = run
        self._guardians: set[int] = set()
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # a handler, so that the descriptor below is written
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
                        self._tidy()

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

    def _tidy(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)
        for pid in list(self._guardians):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._guardians.discard(pid)
        if not descendants.kill_all(keep=self._guardians, seconds=_LAST_RESORT_SECONDS):
            self._kill_everything()

    def _end_all(self) -> None:
        """Every connection is closed by now, or will be: guardians end by themselves, and are waited for."""

        def ended() -> bool:
            self._tidy()
            return not self._guardians

        poll(ended, seconds=_LAST_RESORT_SECONDS, interval=0.01)
        if not descendants.kill_all():
            self._kill_everything()
        self._guardians.clear()

    def _kill_everything(self) -> None:
        # Every process of this container at once, which nothing can outrun; other steps are lost with it.
        if os.getpid() == 1:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the server is gone; in a pod, serve the next one too, until told to stop.

    Told to stop while a server is connected, it goes on: the server ends the steps and says why.
    """
    options = _parser().parse_args(arguments)
    stopping = _stop_signals(ignored=options.connect is None)
    descendants.adopt_orphans()
    descendants.traceable(False)
    # Once for all, after the signals: it takes half a second, and the modules more.
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
    """Take SIGINT and SIGTERM; return what says whether one came."""
    seen: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        # A Ctrl-C in a terminal reaches the whole group; the server decides when this process ends.
        signal.signal(number, signal.SIG_IGN if ignored else lambda got, _: seen.append(got))
    return lambda: bool(seen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m embedded.kfp.steps", description=__doc__)
    parser.add_argument("--connect", type=Path, help="the server's socket; without it, standard input is one")
    parser.add_argument("--preload", default="", help="modules loaded once for all steps, with commas")
    return parser


if __name__ == "__main__":
    sys.exit(main())
