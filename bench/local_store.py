"""A MinIO server on loopback for a measurement."""

import os
import secrets
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from embedded.toolchain import binary
from slipway.core.waiting import tries
from storage.keys import StoreKey

START_SECONDS = 60.0


@contextmanager
def minio(folder: Path) -> Iterator[tuple[str, int, StoreKey]]:
    """Run a new MinIO server on loopback with its own key; its files are removed afterwards."""
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host, port = probe.getsockname()
    key = StoreKey(access_key="bench", secret_key=SecretStr(secrets.token_urlsafe(24)))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "MINIO_ROOT_USER": key.access_key,
        "MINIO_ROOT_PASSWORD": key.secret_key.get_secret_value(),
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    command = [
        str(binary("minio")),
        "server",
        "--quiet",
        "--address",
        f"{host}:{port}",
        str(folder / "drive"),
    ]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            _wait(f"http://{host}:{port}/minio/health/ready", process)
            yield host, port, key
        finally:
            process.terminate()
            process.wait(START_SECONDS)
            shutil.rmtree(folder)


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    for last in tries(START_SECONDS, interval=0.1):
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - a local address
                return
        except OSError as error:
            if last or process.poll() is not None:
                raise RuntimeError("MinIO did not become ready") from error
