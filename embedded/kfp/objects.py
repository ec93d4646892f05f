"""Transfer artifacts between the store and a step's folder: files and directories, with digests."""

import hashlib
import os
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from embedded.kfp import tree
from embedded.kfp.launcher_config import ArtifactStoreAccess, LauncherConfig, LauncherConfigError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_URI: Final = re.compile(r"(s3|minio)://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.S)
_CHUNK: Final = 1 << 20


class ArtifactStoreError(Exception):
    """An operation on the store failed; the message names the object, never a credential."""


@dataclass(frozen=True, slots=True)
class Location:
    """The parts of an `s3://` or `minio://` URI."""

    scheme: str
    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> "Location":
        """Parse a URI; refuse keys that as a path would leave their folder."""
        match = _URI.fullmatch(uri)
        if match is None:
            raise ArtifactStoreError(f"{uri!r} is not an s3:// or minio:// URI")
        key = (match[3] or "").strip("/")
        if any(part in ("", ".", "..") for part in key.split("/") if key) or "\0" in key:
            raise ArtifactStoreError(f"{uri!r} has an empty, '.' or '..' part in its key")
        return cls(match[1], match[2], key)

    @property
    def uri(self) -> str:
        """The whole URI."""
        return f"{self.scheme}://{self.bucket}/{self.key}"

    def below(self, folder: Path) -> Path:
        """The path for steps: `<folder>/<scheme>/<bucket>/<key>`."""
        return folder / self.scheme / self.bucket / self.key


class ArtifactStore:
    """Transfers for the runs of one namespace. Safe to use from several threads."""

    _clients: dict[str, "S3Client"] = {}  # noqa: RUF012 - shared on purpose: creating a client takes 0.1 s
    _lock = threading.Lock()

    def __init__(self, config: LauncherConfig) -> None:
        self._config = config

    def download(self, uri: str, folder: Path, digest: str | None = None) -> Path:
        """Download an artifact to `folder`; raise ArtifactStoreError if it is missing or was changed."""
        location = Location.parse(uri)
        target = location.below(folder)
        client = self._client(location)
        try:
            entries = list(_listing(client, location))
            for name, key in entries:
                path = target / name if name else target
                path.parent.mkdir(parents=True, exist_ok=True)
                client.download_file(location.bucket, key, str(path))
        except (BotoCoreError, ClientError, OSError) as error:
            raise ArtifactStoreError(f"{uri} can't be read: {_reason(error)}") from error
        if not entries:
            raise ArtifactStoreError(f"{uri} does not exist in the store")
        if digest is not None and digest != digest_of(target):
            raise ArtifactStoreError(f"{uri} was changed after its step wrote it: the digest differs")
        return target

    def upload(self, path: Path, uri: str) -> None:
        """Upload a file of the server to `uri`."""
        with path.open("rb") as file:
            self.upload_open(file.fileno(), uri)

    def upload_open(self, descriptor: int, uri: str) -> str:
        """Upload an open file or folder to `uri`; return its digest."""
        location = Location.parse(uri)
        client = self._client(location)
        try:
            if not tree.is_folder(descriptor):
                with os.fdopen(descriptor, "rb", closefd=False) as single:
                    digest = _digest_of_open(single)
                    client.upload_fileobj(single, location.bucket, location.key)
                return digest
            lines = []
            for name, file in tree.files(descriptor):
                lines.append(f"{name}\0{_digest_of_open(file)}")
                client.upload_fileobj(file, location.bucket, f"{location.key}/{name}")
            return _digest_of_lines(lines)
        except (BotoCoreError, ClientError, OSError, boto3.exceptions.S3UploadFailedError) as error:
            raise ArtifactStoreError(f"{uri} can't be written: {_reason(error)}") from error

    def put(self, data: bytes, uri: str) -> None:
        """Write one small object."""
        location = Location.parse(uri)
        try:
            self._client(location).put_object(Bucket=location.bucket, Key=location.key, Body=data)
        except (BotoCoreError, ClientError) as error:
            raise ArtifactStoreError(f"{uri} can't be written: {_reason(error)}") from error

    def identity(self, uri: str) -> str:
        """A fingerprint of the content at `uri`, computed from ETags; empty if there is no object."""
        location = Location.parse(uri)
        try:
            client = self._client(location)
            parts = [f"{name}\0{client.head_object(Bucket=location.bucket, Key=key)['ETag']}"
                     for name, key in _listing(client, location)]  # fmt: skip
        except (BotoCoreError, ClientError) as error:
            raise ArtifactStoreError(f"{uri} can't be read: {_reason(error)}") from error
        return hashlib.sha256("\n".join(parts).encode()).hexdigest() if parts else ""

    def _client(self, location: Location) -> "S3Client":
        try:
            access = self._config.access(location.scheme, location.bucket, location.key)
        except LauncherConfigError as error:
            raise ArtifactStoreError(f"{location.uri} can't be reached: {error}") from error
        fingerprint = access.fingerprint()
        with self._lock:
            if fingerprint not in self._clients:
                self._clients[fingerprint] = _connect(access)
            return self._clients[fingerprint]


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of the names and digests of a folder's files."""
    with tree.opened(path.parent, path) as descriptor:
        if tree.is_folder(descriptor):
            return _digest_of_lines(
                f"{name}\0{_digest_of_open(file)}" for name, file in tree.files(descriptor)
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return _digest_of_open(file)


def _digest_of_lines(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _digest_of_open(file: BinaryIO) -> str:
    """SHA-256 of an open file; afterwards its position is 0."""
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def _listing(client: "S3Client", location: Location) -> Iterator[tuple[str, str]]:
    """Pairs of (name below the location, key); a single object has an empty name."""
    if location.key and _exists(client, location):
        yield "", location.key
        return
    prefix = f"{location.key}/" if location.key else ""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=prefix):
        for entry in page.get("Contents", ()):
            name = entry["Key"].removeprefix(prefix)
            if not name or name.endswith("/"):
                continue  # a folder marker, which some tools create
            if any(part in ("", ".", "..") for part in name.split("/")):
                raise ArtifactStoreError(f"{location.uri} contains a key with an empty, '.' or '..' part")
            yield name, entry["Key"]


def _exists(client: "S3Client", location: Location) -> bool:
    try:
        client.head_object(Bucket=location.bucket, Key=location.key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


def _connect(access: ArtifactStoreAccess) -> "S3Client":
    secret = access.secret_key.get_secret_value() if access.secret_key else None
    client: Any = boto3.session.Session().client(
        "s3",
        endpoint_url=access.endpoint_url,
        region_name=access.region,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=secret,
        config=Config(
            s3={"addressing_style": "path" if access.force_path_style else "auto"},
            retries={"max_attempts": access.max_retries, "mode": "standard"},
            connect_timeout=5,
            read_timeout=60,
            max_pool_connections=32,
        ),
    )
    typed: S3Client = client
    return typed


def _reason(error: Exception) -> str:
    if isinstance(error, ClientError):
        detail = error.response.get("Error", {})
        return f"{detail.get('Code', 'error')} {detail.get('Message', '')}".strip()
    return str(error)
