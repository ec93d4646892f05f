"""A server process for tests: started with a log, waited for, stopped."""

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.waiting import PATIENCE_SECONDS

Process = subprocess.Popen[bytes]


@contextmanager
def running(
    command: Sequence[str | Path], environment: Mapping[str, str], log: Path, ready: Callable[[], bool]
) -> Iterator[None]:
    """Run a server until the end of the block; `start` says what the arguments are."""
    process = start(command, environment, log, ready)
    try:
        yield
    finally:
        stop(process)


def start(
    command: Sequence[str | Path], environment: Mapping[str, str], log: Path, ready: Callable[[], bool]
) -> Process:
    """Start a server that writes to `log`, and wait until it is `ready`: it may not listen yet when asked."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until(ready, process, log)
    except BaseException:
        stop(process)
        raise
    return process


def stop(process: Process) -> None:
    """Stop a server, by force where it takes too long."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until(ready: Callable[[], bool], process: Process, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if ready():
                return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.1)
    end = log.read_text(errors="replace")[-2000:]
    raise AssertionError(f"{log.stem} did not become ready: {end}")


def answers(url: str, **tls: object) -> bool:
    """Whether a GET of the URL ends with 200."""
    with urllib.request.urlopen(url, timeout=2, **tls) as answer:
        return bool(answer.status == 200)
