"""A real Versity gateway on loopback, over a folder, with a root key of its own and users."""

import os
import secrets
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from pydantic import SecretStr
from support.minio import free_port
from support.server import answers, running

from embedded.toolchain import binary
from storage.keys import StoreKey

_HEALTH = "/health"


@dataclass(frozen=True)
class Versitygw:
    """Where it listens, and its root key."""

    url: str
    access_key: str
    secret_key: str

    def user(self) -> StoreKey:
        """Make a user without any right, by the gateway's own admin API."""
        key = StoreKey(
            access_key=f"user-{secrets.token_hex(4)}", secret_key=SecretStr(secrets.token_urlsafe(24))
        )
        document = (
            f"<Account><Access>{key.access_key}</Access>"
            f"<Secret>{key.secret_key.get_secret_value()}</Secret><Role>user</Role></Account>"
        )
        request = AWSRequest("PATCH", f"{self.url}/create-user", data=document.encode())
        S3SigV4Auth(Credentials(self.access_key, self.secret_key), "s3", "us-east-1").add_auth(request)
        answer = urllib3.request(
            "PATCH", request.url, body=document.encode(), headers=dict(request.headers.items()), retries=False
        )
        assert answer.status == 201, answer.data
        return key


@contextmanager
def running_versitygw(
    folder: Path, *, versions: bool = True, certificate: Path | None = None, ca: str = ""
) -> Iterator[Versitygw]:
    """Start the gateway over folders below `folder`; stop it at the end.

    Args:
        folder: Empty; everything is kept in it.
        versions: Whether there is a place for old versions.
        certificate: PEM file of chain and key: the gateway then speaks TLS.
        ca: The CA certificate, as PEM.
    """
    port = free_port()
    scheme = "https" if certificate else "http"
    server = Versitygw(
        f"{scheme}://127.0.0.1:{port}", f"root-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    )
    for name in ("objects", "versions", "users"):
        (folder / name).mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ROOT_ACCESS_KEY_ID": server.access_key,
        "ROOT_SECRET_ACCESS_KEY": server.secret_key,
        "VGW_PORT": f"127.0.0.1:{port}",
        "VGW_IAM_DIR": str(folder / "users"),
        "VGW_IAM_CACHE_DISABLE": "true",
        "VGW_HEALTH": _HEALTH,
        **({"VGW_VERSIONING_DIR": str(folder / "versions")} if versions else {}),
        **({"VGW_CERT": str(certificate), "VGW_KEY": str(certificate)} if certificate else {}),
    }
    trusted = ssl.create_default_context(cadata=ca) if ca else None
    command = [binary("versitygw"), "--quiet", "posix", folder / "objects"]
    log = folder / "versitygw.log"
    with running(command, environment, log, lambda: answers(f"{server.url}{_HEALTH}", context=trusted)):
        yield server
