"""The pulumi executable as a child process: its output is followed, and it ends with this process."""

import os
import selectors
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from infra.stack.events import plain
from slipway.core.errors import FailedError, UsageError

_POLL_SECONDS: Final = 0.1
_TAIL_BYTES: Final = 16_384
"""Bytes kept of the output's end, to find an error that was printed before the engine could log events."""


class PulumiCli:
    """Runs commands in one project's folder with one environment."""

    def __init__(self, project: Path, env: Mapping[str, str]) -> None:
        """Run nothing yet; `env` overrides the environment of this process."""
        self._project = project
        self._env = {**os.environ, **env}
        if "PULUMI_CONFIG_PASSPHRASE_FILE" in env:
            # It would take precedence over the file, and the state can't be read with it.
            self._env.pop("PULUMI_CONFIG_PASSPHRASE", None)
        # The CLI has --event-log only with this.
        self._env["PULUMI_DEBUG_COMMANDS"] = "true"

    def ask(self, *arguments: str, stdin: str = "") -> str:
        """Run a short command and return what it printed.

        Raises:
            FailedError: it failed; `why` is its own message.
        """
        done = subprocess.run(
            [self._executable(), "--non-interactive", "--color=never", *arguments],
            cwd=self._project,
            env=self._env,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise FailedError(f"`pulumi {arguments[0]} {arguments[1]}` failed.", why=error_in(done.stderr))
        return done.stdout

    def follow(
        self, *arguments: str, meanwhile: Callable[[], None], env: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Run a long command and copy its output to our standard error as it arrives.

        Ctrl-C is passed on, so that the CLI stops in an orderly way; a second one as well. Nothing is
        ever read from the terminal.

        Args:
            arguments: of the CLI.
            meanwhile: called several times a second.
            env: variables that override the environment for this command only.

        Returns:
            The exit code and the end of the output.

        Raises:
            KeyboardInterrupt: the command was interrupted and has stopped.
        """
        colour = "always" if sys.stderr.isatty() else "never"
        process = subprocess.Popen(
            [*_dies_with_us(), self._executable(), "--non-interactive", f"--color={colour}", *arguments],
            cwd=self._project,
            env={**self._env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Its own group: otherwise a terminal's Ctrl-C would reach it twice, which means "stop at once".
            process_group=0,
        )
        with process, _handing_on_interrupts(process) as interrupts:
            tail = _pass_through(process, meanwhile)
            code = process.wait()
        meanwhile()
        if interrupts and code:
            raise KeyboardInterrupt
        return code, tail

    def _executable(self) -> str:
        executable = shutil.which("pulumi", path=self._env.get("PATH"))
        if executable is None:
            raise UsageError(
                "There is no `pulumi` on this machine.",
                fix="Install it from https://www.pulumi.com/docs/install/; stack `local` brings its own.",
            )
        return executable


def error_in(output: str) -> str:
    """Return the first line of `output` that reports an error, or its last line."""
    lines = [plain(line).strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines[-1:] or ["It printed nothing."])[0]


def _pass_through(process: subprocess.Popen[bytes], meanwhile: Callable[[], None]) -> str:
    assert process.stdout is not None
    tail = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if selector.select(_POLL_SECONDS):
                chunk = os.read(process.stdout.fileno(), 65_536)
                if not chunk:
                    break
                _show(chunk)
                tail = (tail + chunk)[-_TAIL_BYTES:]
            elif process.poll() is not None:
                # A grandchild may keep the pipe open after the command has ended.
                break
            meanwhile()
    return tail.decode(errors="replace")


def _show(chunk: bytes) -> None:
    """Write to standard error, as bytes where it is a file; a captured one accepts text."""
    buffer = getattr(sys.stderr, "buffer", None)
    if buffer is None:
        sys.stderr.write(chunk.decode(errors="replace"))
    else:
        buffer.write(chunk)
    sys.stderr.flush()


@contextmanager
def _handing_on_interrupts(process: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    received: list[int] = []

    def hand_on(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _dies_with_us() -> list[str]:
    """Return a prefix that makes the kernel interrupt the CLI if this process is killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "INT"] if setpriv else []
