"""A real image registry on loopback: the distribution project's, with TLS, a private CA and a login."""

import base64
import json
import os
import secrets
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import bcrypt
import jwt
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from pydantic import SecretStr
from support import certificates
from support.minio import free_port
from support.server import answers, running

from embedded.toolchain import binary
from oci.client import ImageRegistry
from oci.login import Login

HOST = "127.0.0.1"


@dataclass(frozen=True)
class TestRegistry:
    """Where it listens, its account, and the CA that signed its certificate."""

    __test__ = False

    address: str
    folder: Path
    username: str
    password: str = field(repr=False)
    ca_file: Path
    plain_http: bool = False
    identity_token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    """What the authorization server takes in place of the password."""

    @property
    def login(self) -> Login:
        return Login(self.username, SecretStr(self.password))

    @property
    def log(self) -> str:
        return (self.folder / "registry.log").read_text()

    def open(self, login: Login | None = None) -> ImageRegistry:
        return ImageRegistry(
            self.address,
            login or self.login,
            ca_file=None if self.plain_http else self.ca_file,
            plain_http=self.plain_http,
        )

    def auth_file(self, path: Path, password: str | None = None) -> Path:
        """Write a file of the container tools with the account."""
        pair = base64.b64encode(f"{self.username}:{password or self.password}".encode()).decode()
        path.write_text(json.dumps({"auths": {self.address: {"auth": pair}}}))
        return path


@contextmanager
def image_registry(
    folder: Path,
    *,
    tls: bool = True,
    storage: Path | None = None,
    tokens: bool = False,
    read_only: bool = False,
    host: str = HOST,
    within: Sequence[str] = (),
    days: int = 1,
) -> Iterator[TestRegistry]:
    """Run a registry during the block.

    Args:
        folder: Empty; everything is kept in it.
        tls: Whether it speaks TLS; without it, it has no login either.
        storage: Where blobs are, if not in `folder`.
        tokens: Whether it takes tokens of an authorization server: everybody may read below `public/`, nobody
            may write there, and the account may do anything elsewhere.
        read_only: Whether it refuses writes.
        days: For how long its certificate is valid; it may be past.
        host: Address that it listens on.
        within: Command that runs it elsewhere, such as in the network namespace of a cluster.
    """
    address = f"{host}:{free_port()}"
    username, password = f"user-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    ca = certificates.new_ca()
    ca_file = folder / "ca.pem"
    ca_file.write_text(ca.pem)
    context = certificates.certificate(ca, host, days=days, folder=folder)
    [chain] = [path for path in folder.glob("*.pem") if path != ca_file]
    users = folder / "users"
    users.write_bytes(b"%s:%s\n" % (username.encode(), bcrypt.hashpw(password.encode(), bcrypt.gensalt(4))))
    settings: dict[str, Any] = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(storage or folder / "storage")}},
        "http": {"addr": address, "secret": secrets.token_hex(16)},
    }
    if read_only:
        settings["storage"]["maintenance"] = {"readonly": {"enabled": True}}
    if tls:
        settings["http"]["tls"] = {"certificate": str(chain), "key": str(chain)}
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(users)}}
    found = TestRegistry(address, folder, username, password, ca_file, plain_http=not tls)
    with _authorization(found, context) if tokens else nullcontext(None) as by_token:
        if by_token:
            settings["auth"] = {"token": by_token}
        (folder / "config.yaml").write_text(yaml.safe_dump(settings))
        command = [*within, binary("registry"), "serve", folder / "config.yaml"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "OTEL_TRACES_EXPORTER": "none"}
        trusted = {"context": ssl.create_default_context(cadata=ca.pem)} if tls else {}

        def ready() -> bool:
            if within or days < 0:
                return "listening on" in found.log
            return answers(f"{'https' if tls else 'http'}://{address}/", **trusted)

        with running(command, environment, folder / "registry.log", ready):
            yield found


@contextmanager
def _authorization(registry: TestRegistry, context: ssl.SSLContext) -> Iterator[dict[str, str]]:
    """Run an authorization server; yield the registry's settings for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "tests", "alg": "ES256"}
    keys = registry.folder / "keys.json"
    keys.write_text(json.dumps({"keys": [public]}))
    pair = base64.b64encode(f"{registry.username}:{registry.password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            header = self.headers.get("Authorization")
            scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
            self._answer(scopes, allowed=header in {None, f"Basic {pair}"}, anonymous=header is None)

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            allowed = (form["grant_type"], form["refresh_token"]) == (
                ["refresh_token"],
                [registry.identity_token],
            )
            self._answer(form["scope"], allowed=allowed, anonymous=False)

        def _answer(self, scopes: list[str], *, allowed: bool, anonymous: bool) -> None:
            token = {"token": _token(key, scopes, anonymous=anonymous)}
            body = json.dumps(token if allowed else {}).encode()
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    realm = f"https://{HOST}:{server.server_address[1]}/token"
    try:
        yield {"realm": realm, "issuer": "tests", "service": "registry", "jwks": str(keys)}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _token(key: ec.EllipticCurvePrivateKey, scopes: list[str], *, anonymous: bool) -> str:
    access = []
    for scope in scopes:
        kind, name, actions = scope.split(":")
        public = name.startswith("public/")
        wanted = actions.split(",")
        if public:
            wanted = ["pull"]
        elif anonymous:
            wanted = []
        access.append({"type": kind, "name": name, "actions": wanted})
    now = int(time.time())
    claims = {
        "iss": "tests",
        "sub": "tests",
        "aud": "registry",
        "exp": now + 300,
        "nbf": now - 10,
        "iat": now,
        "jti": secrets.token_hex(8),
        "access": access,
    }
    return jwt.encode(claims, key, "ES256", headers={"kid": "tests"})
