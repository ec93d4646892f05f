"""Files to a store and back: many at once, streamed, checked from end to end.

    small objects   one request each, over connections that are kept
    large objects   in parts of 16 MiB or more, several at a time

Every upload carries a CRC-64/NVME of all its bytes, which the store checks before anything is visible
and keeps with the object; every download is compared with it. Where the caller knows the SHA-256, that
is checked too. The data goes through our own connections, which cost a tenth of boto3's time for each
request; what is asked once for each large object goes through boto3.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http.client import HTTPResponse
from pathlib import Path
from typing import Final

from awscrt import checksums

from slipway.core.errors import FailedError
from storage.client import CONNECT_SECONDS, READ_SECONDS, RETRIES, StoreAccess, asking, open_store
from storage.transfer.landing import Landing, checked_sums, received
from storage.transfer.large import LargeDownload, LargeUpload
from storage.transfer.parts import PART, Stretch, encoded, on_disk
from storage.transfer.pool import Progress, Tally, Task, run
from storage.transfer.wire import Endpoint, Patience, Request, Wire, drained

WORKERS: Final = 8
"""Requests at a time: enough to keep two cores or a long line busy, few enough for one small store."""

WORKERS_PER_CORE: Final = 2
"""Parts that are read at a time: they keep the cores busy, and more would only take turns."""

_SUMS: Final = {"x-amz-checksum-mode": "ENABLED"}


@dataclass(frozen=True)
class Upload:
    """A file and the key that it goes to."""

    path: Path
    key: str
    sha256: str | None = None
    """In hexadecimal, if it is known: a file that differs is not uploaded."""


@dataclass(frozen=True)
class Download:
    """A key and the file that it goes to."""

    key: str
    path: Path
    size: int | None = None
    """Bytes, as a listing says; None asks the store first, which takes a request more."""

    sha256: str | None = None
    """In hexadecimal, if it is known: an object that differs leaves no file."""


@dataclass(frozen=True)
class Digest:
    """What an object's bytes are."""

    size: int
    sha256: str


def workers_for(sizes: Sequence[int], most: int, cores: int) -> int:
    """Return how many requests at a time read objects of these sizes: `most` for mainly small ones."""
    in_parts = sum(size for size in sizes if size > PART)
    return min(most, WORKERS_PER_CORE * cores) if 2 * in_parts > sum(sizes) else most


def unwatched(done: int, total: int) -> None:
    """Show no progress: the default where nobody watches."""


class Transfers:
    """Moves files from and to one store. Not to be shared between threads; it brings its own."""

    def __init__(
        self,
        access: StoreAccess,
        *,
        workers: int = WORKERS,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        retries: int = RETRIES,
    ) -> None:
        """Open nothing yet. `access` is what `storage.client.open_store` takes."""
        self._client = open_store(
            access, connect_seconds=connect_seconds, read_seconds=read_seconds, retries=retries
        )
        patience = Patience(connect_seconds, read_seconds, retries)
        self._endpoint = Endpoint(access, self._client.meta.endpoint_url, patience)
        self._workers = workers

    def upload(self, bucket: str, files: Sequence[Upload], progress: Progress = unwatched) -> int:
        """Write files to the store; return their bytes. An object is there whole or not at all.

        Objects that stood at the keys are replaced. After an error some of the files may be there, and
        running it again ends well; `progress` is called from other threads.

        Raises:
            StoreError: The store refused or can't be reached; `cause` says why.
            FailedError: A file can't be read, or is not what its SHA-256 says.
        """
        sizes = []
        for file in files:
            with on_disk("read", file.path):
                sizes.append(file.path.stat().st_size)
        tally = Tally(sum(sizes), progress)
        large: list[LargeUpload] = []

        def tasks() -> Iterator[Task]:
            for file, size in zip(files, sizes, strict=True):
                if size <= PART:
                    yield partial(self._put, bucket, file, size, tally)
                else:
                    large.append(
                        LargeUpload(self._client, bucket, file.key, file.path, size, file.sha256, tally)
                    )
                    yield from large[-1].tasks()

        try:
            run(tasks(), self._endpoint, self._workers)
        finally:
            for upload in large:
                upload.abandon()
        return sum(sizes)

    def download(self, bucket: str, files: Sequence[Download], progress: Progress = unwatched) -> int:
        """Read objects into files; return their bytes. A file is there whole and checked, or not at all.

        Files that stood at the paths are replaced, folders are made; `progress` is called from other
        threads. Keys are taken as they are: whoever makes paths of them has to check them.

        Raises:
            StoreError: The store refused, can't be reached, or an object is not what it should be;
                `cause` says why.
            FailedError: A file can't be written.
        """
        sizes = self._sizes(bucket, files)
        tally = Tally(sum(sizes), progress)
        large: list[LargeDownload] = []

        def tasks() -> Iterator[Task]:
            for file, size in zip(files, sizes, strict=True):
                if size <= PART:
                    yield partial(self._get, bucket, file, size, tally)
                else:
                    large.append(LargeDownload(bucket, file.key, file.path, size, file.sha256, tally))
                    yield from large[-1].tasks()

        try:
            run(tasks(), self._endpoint, workers_for(sizes, self._workers, os.cpu_count() or 1))
        finally:
            for download in large:
                download.abandon()
        return sum(sizes)

    def digests(self, bucket: str, keys: Sequence[str]) -> dict[str, Digest]:
        """Read every byte of the objects, keep none, and return what they are.

        Raises:
            StoreError: The store refused, can't be reached, or an object is not what it should be.
        """
        found: dict[str, Digest] = {}
        run((partial(self._hash, bucket, key, found) for key in keys), self._endpoint, self._workers)
        return found

    def _sizes(self, bucket: str, files: Sequence[Download]) -> list[int]:
        """The objects' sizes; asks for those that the caller doesn't know."""
        sizes: dict[int, int] = {number: file.size or 0 for number, file in enumerate(files)}

        def ask(number: int, wire: Wire) -> None:
            with asking(f"read {files[number].key}"):
                told = wire.ask(Request("HEAD", bucket, files[number].key), drained)
            sizes[number] = int(told["content-length"])

        unknown = [number for number, file in enumerate(files) if file.size is None]
        if unknown:
            run((partial(ask, number) for number in unknown), self._endpoint, self._workers)
        return list(sizes.values())

    def _put(self, bucket: str, file: Upload, size: int, tally: Tally, wire: Wire) -> None:
        with on_disk("read", file.path):
            descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            stretch = Stretch(descriptor, 0, size, file.path)
            sha256 = stretch.sha256()
            if file.sha256 not in (None, sha256):
                raise FailedError(
                    f"{file.path} was not uploaded.",
                    why=f"Its SHA-256 is not {file.sha256}, as was expected.",
                )
            sums = {"x-amz-checksum-crc64nvme": encoded(stretch.crc())}
            with asking(f"write {file.key}"):
                wire.ask(
                    Request("PUT", bucket, file.key, headers=sums, payload=sha256, body=stretch), drained
                )
        finally:
            os.close(descriptor)
        tally.add(size)

    def _get(self, bucket: str, file: Download, size: int, tally: Tally, wire: Wire) -> None:
        landing = Landing(file.path)

        def take(answer: HTTPResponse) -> None:
            landing.open()
            try:
                offset, crc, hasher = 0, 0, hashlib.sha256()
                for chunk in received(answer, _length(answer), wire.stop):
                    landing.write(chunk, offset)
                    offset += len(chunk)
                    crc = checksums.crc64nvme(chunk, crc)
                    if file.sha256:
                        hasher.update(chunk)
                told = answer.headers.get("x-amz-checksum-crc64nvme")
                checked_sums(file.key, crc, told, hasher.hexdigest(), file.sha256)
                landing.land()
            finally:
                landing.abandon()

        with asking(f"read {file.key}"):
            wire.ask(Request("GET", bucket, file.key, headers=_SUMS), take)
        tally.add(size)

    def _hash(self, bucket: str, key: str, found: dict[str, Digest], wire: Wire) -> None:
        def take(answer: HTTPResponse) -> Digest:
            size, crc, hasher = _length(answer), 0, hashlib.sha256()
            for chunk in received(answer, size, wire.stop):
                crc = checksums.crc64nvme(chunk, crc)
                hasher.update(chunk)
            checked_sums(key, crc, answer.headers.get("x-amz-checksum-crc64nvme"), None, None)
            return Digest(size, hasher.hexdigest())

        with asking(f"read {key}"):
            found[key] = wire.ask(Request("GET", bucket, key, headers=_SUMS), take)


def _length(answer: HTTPResponse) -> int:
    return int(answer.headers["content-length"])
