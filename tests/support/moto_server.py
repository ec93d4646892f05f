"""A moto server on loopback: S3 in memory, in a process of its own."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.minio import free_port

_START_SECONDS = 60.0


@dataclass(frozen=True)
class Moto:
    """Where it listens; any key opens it."""

    url: str
    access_key: str = "anybody"
    secret_key: str = "anything-at-all"


@contextmanager
def running_moto(folder: Path) -> Iterator[Moto]:
    """Start moto's server; stop it at the end."""
    port = free_port()
    server = Moto(f"http://127.0.0.1:{port}")
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(server, process, folder / "moto.log")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(server: Moto, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.url}/moto-api/", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"moto did not become ready: {log.read_text(errors='replace')[-2000:]}")
