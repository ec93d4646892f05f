"""A moto server on loopback: S3 in memory, in a process of its own."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.minio import free_port
from support.server import answers, running


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
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    with running(command, environment, folder / "moto.log", lambda: answers(f"{server.url}/moto-api/")):
        yield server
