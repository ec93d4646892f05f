"""A real MinIO on loopback for contract tests, with random credentials."""

import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import SecretStr

from embedded.toolchain import binary
from storage.keys import StoreKey


@dataclass(frozen=True)
class Minio:
    """Where it answers, and its root key."""

    endpoint: str
    key: StoreKey
    region: str = "us-east-1"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(folder: Path) -> Iterator[Minio]:
    """Start the server on `folder`, and stop it again."""
    key = StoreKey(access_key="test-root", secret_key=SecretStr(secrets.token_urlsafe(24)))
    port, console = free_port(), free_port()
    environment = {
        "MINIO_ROOT_USER": key.access_key,
        "MINIO_ROOT_PASSWORD": key.secret_key.get_secret_value(),
        "MINIO_BROWSER": "off",
        "HOME": str(folder),
    }
    command = [binary("minio"), "server", "--quiet", "--address", f"127.0.0.1:{port}"]
    command += ["--console-address", f"127.0.0.1:{console}", folder / "data"]
    with (folder / "minio.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        _await(endpoint, process)
        yield Minio(endpoint, key)
    finally:
        process.terminate()
        process.wait(20)


def _await(endpoint: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "MinIO ended at once"
        with suppress(httpx.HTTPError):
            if httpx.get(f"{endpoint}/minio/health/ready").status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError("MinIO did not get ready")
