"""A real MinIO on loopback, with a root key of its own, for one test session."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import SecretStr
from support.server import Process, answers, start, stop

from embedded.toolchain import binary
from storage.client import StoreAccess
from storage.keys import StoreKey

stop_minio = stop


@dataclass(frozen=True)
class Minio:
    """Where it listens, and its root key."""

    endpoint: str
    access_key: str
    secret_key: str

    @property
    def url(self) -> str:
        return f"http://{self.endpoint}"

    @property
    def access(self) -> StoreAccess:
        """As its administrator."""
        key = StoreKey(access_key=self.access_key, secret_key=SecretStr(self.secret_key))
        return StoreAccess(endpoint=self.url, region="us-east-1", key=key)

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
def running_minio(data: Path, **environment: str) -> Iterator[Minio]:
    """Start MinIO on `data`; stop it at the end."""
    server = new_minio()
    process = start_minio(server, data, **environment)
    try:
        yield server
    finally:
        stop_minio(process)


def new_minio() -> Minio:
    """A free address and a fresh root key."""
    return Minio(f"127.0.0.1:{free_port()}", f"root-{secrets.token_hex(4)}", secrets.token_urlsafe(24))


def start_minio(server: Minio, data: Path, **environment: str) -> Process:
    """Start a server on `data` and wait until it is ready."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(data),
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
        "MINIO_UPDATE": "off",
        # As any MinIO elsewhere: it gives tokens, and has no console only since no test needs it.
        "MINIO_BROWSER": "off",
    } | environment
    command = [binary("minio"), "server", "--quiet", "--address", server.endpoint, data / "objects"]
    # On a busy machine it says that it is ready a moment before it takes a request.
    health = f"{server.url}/minio/health/ready"
    return start(command, environment, data / "minio.log", lambda: answers(health) and _takes(server))


def _takes(server: Minio) -> bool:
    try:
        server.client().list_buckets()
    except ClientError as error:
        if error.response["Error"]["Code"] == "XMinioServerNotInitialized":
            return False
        raise
    return True


def contents(minio: Minio) -> dict[tuple[str, str], str]:
    """ETag of every object in the store, by bucket and key, as a client sees it that has no fault."""
    client = minio.client()
    return {
        (bucket["Name"], entry["Key"]): entry["ETag"]
        for bucket in client.list_buckets()["Buckets"]
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"])
        for entry in page.get("Contents", ())
    }
