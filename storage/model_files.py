"""The files of a model: what they may be called, what their digest is, and how they are read.

KServe's downloader joins object keys to its folder unchecked, so no key that could escape is ever
accepted, whatever the store would take.
"""

import hashlib
import json
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError
from pydantic import BaseModel, ConfigDict, Field

from storage.causes import UNREADABLE
from storage.client import asking, split_uri
from storage.errors import UsageError
from storage.parallel import in_parallel

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_KEY_BYTES: Final = 1024
MAX_FILES: Final = 64
MAX_VERSION_BYTES: Final = 2 << 30
CHUNK: Final = 1 << 20
RESUMPTIONS: Final = 4
"""How often the download of one file goes on after it broke off."""


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class File(BaseModel):
    """One file of a version."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    sha256: Digest
    size: int = Field(ge=0)


@dataclass(frozen=True)
class Staged:
    """A version's files on this disk: what is checked here is, byte for byte, what is published."""

    folder: Path
    files: tuple[File, ...]

    @property
    def digest(self) -> str:
        """The version's digest."""
        return digest_of(self.files)


def digest_of(files: Iterable[File]) -> str:
    """SHA-256 over the canonical list of path, size and SHA-256; the order of files is no matter."""
    listed = [file.model_dump() for file in sorted(files, key=lambda file: file.path)]
    canonical = json.dumps(listed, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def listed(folder: Path) -> tuple[File, ...]:
    """List the files of a folder on this disk, hashed."""
    found = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        found.append(File(path=path.relative_to(folder).as_posix(), sha256=sha256, size=path.stat().st_size))
    return tuple(found)


def checked_path(path: str, *, below: str = "", colons: bool = False) -> str:
    """Return a file's path relative to its version if it can't escape; UsageError otherwise.

    KServe's downloader joins keys to its folder unchecked, so this is decided here, whatever the
    store would accept. `below` is the prefix that the path will be appended to; `colons` says whether
    a name may hold them, as those of data may, which only Slipway reads.
    """
    reason = ""
    if not path:
        reason = "It is empty."
    elif not path.isprintable():
        reason = "It holds a control character, or a space that isn't one."
    elif "\\" in path:
        reason = "It holds a backslash."
    elif "%" in path:
        reason = "It holds a percent sign, which some reader will decode."
    elif path.startswith("/"):
        reason = "It begins with a slash, so it is not relative."
    elif path.startswith("~"):
        reason = "It begins with a tilde, which some programs replace by a home folder."
    elif ":" in path and not colons:
        reason = "It holds a colon, which ends the name of a drive on Windows."
    elif any(part in {"", ".", ".."} for part in path.split("/")):
        reason = "One of its parts is empty, '.' or '..'."
    elif any(part.startswith(" ") or part.endswith((" ", ".")) for part in path.split("/")):
        reason = "One of its parts begins with a space or ends with one or a dot, which some disks drop."
    elif unicodedata.normalize("NFC", path) != path:
        reason = "It is not in Unicode normal form C."
    elif len((below + path).encode()) > MAX_KEY_BYTES:
        reason = f"Its key would have more than {MAX_KEY_BYTES} bytes."
    if reason:
        raise UsageError(f"{path[:80]!r} can't name a file of a model.", why=reason)
    return path


def checked_paths(paths: Iterable[str], *, below: str = "") -> tuple[str, ...]:
    """Check all paths of a version, also against each other: no two may collide on any file system."""
    checked = tuple(checked_path(path, below=below) for path in paths)
    if len(checked) > MAX_FILES:
        raise UsageError(f"A model of {len(checked)} files is refused.", why=f"The limit is {MAX_FILES}.")
    folded = {unicodedata.normalize("NFKC", path).casefold() for path in checked}
    if len(folded) != len(checked):
        raise UsageError("Two files of the model differ only in case or in Unicode form.")
    parents = {path.rsplit("/", depth)[0] for path in checked for depth in range(1, path.count("/") + 1)}
    if parents & set(checked):
        raise UsageError(f"{sorted(parents & set(checked))[0]!r} is both a file and a folder of the model.")
    return checked


@contextmanager
def stage(client: "S3Client", uri: str) -> Iterator[Staged]:
    """Copy a model's folder to a private folder on this disk, hashing it on the way.

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
    with asking(f"list {prefix}"):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                sizes[entry["Key"].removeprefix(prefix)] = entry["Size"]
    return sizes


def download(client: "S3Client", bucket: str, key: str, path: str, write: Callable[[bytes], object]) -> File:
    """Stream an object through `write`, counting and hashing what really came."""
    hasher = hashlib.sha256()
    size = 0
    with asking(f"read {key}"):
        for chunk in _chunks(client, bucket, key):
            size += len(chunk)
            if size > MAX_VERSION_BYTES:
                raise UsageError(f"{path} is refused.", why="It grew over the limit while it was read.")
            hasher.update(chunk)
            write(chunk)
    return File(path=path, sha256=hasher.hexdigest(), size=size)


def _chunks(client: "S3Client", bucket: str, key: str) -> Iterator[bytes]:
    """Stream an object and, where an answer breaks off, ask for the rest.

    A store that can't read on from its drive breaks off at the same byte again, before the first of
    the rest has come: it has no status left to say why, so that is said here.
    """
    answer = client.get_object(Bucket=bucket, Key=key)
    size = 0
    for resumption in range(RESUMPTIONS + 1):
        begun = size
        try:
            for chunk in answer["Body"].iter_chunks(CHUNK):
                size += len(chunk)
                yield chunk
        except (ResponseStreamingError, IncompleteReadError) as error:
            if resumption and size == begun:
                raise ClientError({"Error": {"Code": UNREADABLE}}, "GetObject") from error
            if resumption == RESUMPTIONS:
                raise
        else:
            return
        answer = client.get_object(Bucket=bucket, Key=key, Range=f"bytes={size}-", IfMatch=answer["ETag"])


def discard(chunk: bytes) -> int:
    """A sink for `download` where only the hash is wanted."""
    return len(chunk)
