"""A real MinIO on loopback, with a root key of its own, for one test session."""

import os
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from embedded.toolchain import binary

_START_SECONDS = 60.0


@dataclass(frozen=True)
class Minio:
    """Where it listens, and its root key."""

    endpoint: str
    access_key: str
    secret_key: str

    @property
    def url(self) -> str:
        return f"http://{self.endpoint}"

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
        )

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def read(self, bucket: str, key: str) -> bytes:
        body: bytes = self.client().get_object(Bucket=bucket, Key=key)["Body"].read()
        return body


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def running_minio(data: Path) -> Iterator[Minio]:
    """Start MinIO on `data`; stop it at the end."""
    server = new_minio()
    process = start_minio(server, data)
    try:
        yield server
    finally:
        stop_minio(process)


def new_minio() -> Minio:
    """A free address and a fresh root key."""
    return Minio(f"127.0.0.1:{free_port()}", f"root-{secrets.token_hex(4)}", secrets.token_urlsafe(24))


def start_minio(server: Minio, data: Path, **environment: str) -> "subprocess.Popen[bytes]":
    """Start a server on `data` and wait until it is ready."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(data),
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    } | environment
    with (data / "minio.log").open("wb") as log:
        process = subprocess.Popen(
            [binary("minio"), "server", "--quiet", "--address", server.endpoint, str(data / "objects")],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(server, process, data / "minio.log")
    except BaseException:
        stop_minio(process)
        raise
    return process


def stop_minio(process: "subprocess.Popen[bytes]") -> None:
    """Stop a server, by force where it takes too long."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answers(server: Minio) -> bool:
    try:
        server.client().list_buckets()
    except ClientError as error:
        if error.response["Error"]["Code"] == "XMinioServerNotInitialized":
            return False
        raise
    return True


def _wait_until_ready(server: Minio, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{server.url}/minio/health/ready", timeout=2) as answer:
                # On a busy machine it says so a moment before it takes a request.
                if answer.status == 200 and _answers(server):
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"MinIO did not become ready: {log.read_text(errors='replace')[-2000:]}")
