"""The files of a model: listed, downloaded and hashed as they are read."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError

from slipway.core.errors import UsageError
from slipway.core.parallel import in_parallel
from storage.causes import UNREADABLE
from storage.client import split_uri, translated_errors
from storage.registry.version_files import File, checked_paths, digest_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_VERSION_BYTES: Final = 2 << 30
CHUNK: Final = 1 << 20
RESUMPTIONS: Final = 4
"""How often the download of one file is resumed after the connection broke."""


@dataclass(frozen=True)
class Staged:
    """A version's files on this disk: the bytes that are checked here are those that are published."""

    folder: Path
    files: tuple[File, ...]

    @property
    def digest(self) -> str:
        """The version's digest."""
        return digest_of(self.files)


def listed(folder: Path) -> tuple[File, ...]:
    """List the files of a folder on this disk, hashed."""
    files = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        files.append(File(path=path.relative_to(folder).as_posix(), sha256=sha256, size=path.stat().st_size))
    return tuple(files)


@contextmanager
def stage(client: "S3Client", uri: str) -> Iterator[Staged]:
    """Copy a model's folder to a private folder on this disk, and hash it while copying.

    Raises:
        UsageError: A key could escape, or the folder is empty or too large.
    """
    bucket, prefix = split_uri(uri)
    prefix = prefix.rstrip("/") + "/"
    sizes = listing(client, bucket, prefix)
    if not sizes:
        raise UsageError(f"There is no model at {uri}.")
    paths = checked_paths(sizes)
    if sum(sizes.values()) > MAX_VERSION_BYTES:
        raise UsageError(f"The model at {uri} has over {MAX_VERSION_BYTES >> 20} MiB.")
    with tempfile.TemporaryDirectory(prefix="slipway-model-") as name:
        folder = Path(name)

        def copy(path: str) -> File:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                return download(client, bucket, prefix + path, path, file.write)

        files = in_parallel(copy, paths)
        yield Staged(folder, tuple(sorted(files, key=lambda file: file.path)))


def listing(client: "S3Client", bucket: str, prefix: str) -> dict[str, int]:
    """Sizes of the objects below a prefix, by their path relative to it."""
    sizes: dict[str, int] = {}
    with translated_errors(f"list {prefix}"):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                sizes[entry["Key"].removeprefix(prefix)] = entry["Size"]
    return sizes


def download(client: "S3Client", bucket: str, key: str, path: str, write: Callable[[bytes], object]) -> File:
    """Stream an object through `write`, counting and hashing the bytes that arrive."""
    hasher = hashlib.sha256()
    size = 0
    with translated_errors(f"read {key}"):
        for chunk in _chunks(client, bucket, key):
            size += len(chunk)
            if size > MAX_VERSION_BYTES:
                raise UsageError(f"{path} is refused.", why="It grew over the limit while it was read.")
            hasher.update(chunk)
            write(chunk)
    return File(path=path, sha256=hasher.hexdigest(), size=size)


def _chunks(client: "S3Client", bucket: str, key: str) -> Iterator[bytes]:
    """Stream an object and, if an answer is cut short, request the rest.

    A store that can't read further from its drive cuts the answer short at the same byte again, before
    any of the rest has arrived. It has already sent its status and can't report why, so this does.
    """
    answer = client.get_object(Bucket=bucket, Key=key)
    size = 0
    for resumption in range(RESUMPTIONS + 1):
        start = size
        try:
            for chunk in answer["Body"].iter_chunks(CHUNK):
                size += len(chunk)
                yield chunk
        except (ResponseStreamingError, IncompleteReadError) as error:
            if resumption and size == start:
                raise ClientError({"Error": {"Code": UNREADABLE}}, "GetObject") from error
            if resumption == RESUMPTIONS:
                raise
        else:
            return
        answer = client.get_object(Bucket=bucket, Key=key, Range=f"bytes={size}-", IfMatch=answer["ETag"])


def discard(chunk: bytes) -> int:
    """Discard a chunk: for `download` where only the hash is wanted."""
    return len(chunk)
