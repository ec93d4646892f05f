"""Transfers files to a store and back: many at once, streamed, checked from end to end.

    small objects   one request each, several at a time
    large objects   in parts of 8 MiB, several at a time

Every upload carries a CRC-64/NVME of all its bytes, which the store checks before anything is visible
and keeps with the object; every download is compared with it. Where the caller knows the SHA-256, that
is checked instead after a download, and before an upload sends anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from awscrt.s3 import S3Client

from storage.client import CONNECT_SECONDS, RETRIES, StoreAccess, open_store, translated_errors
from storage.transfer import crt
from storage.transfer.jobs import DownloadJob, UploadJob, on_disk
from storage.transfer.running import Progress, run


@dataclass(frozen=True)
class Upload:
    """A file and the key that it goes to."""

    path: Path
    key: str
    sha256: str | None = None
    """In hexadecimal, if known: a file that differs is not uploaded."""


@dataclass(frozen=True)
class Download:
    """A key and the file that it goes to."""

    key: str
    path: Path
    size: int
    """Bytes, as a listing says."""

    sha256: str | None = None
    """In hexadecimal, if known: an object that differs leaves no file."""


def unwatched(done: int, total: int) -> None:
    """Show no progress: the default where nobody watches."""


class Transfers:
    """Transfers files from and to one store, with the credentials of a `storage.client.StoreAccess`."""

    def __init__(
        self, access: StoreAccess, *, connect_seconds: float = CONNECT_SECONDS, retries: int = RETRIES
    ) -> None:
        """Keep the settings; no connection is opened.

        Args:
            access: what `storage.client.open_store` takes.
            connect_seconds: how long to wait for a connection. An answer that stops is waited for 30
                seconds, which is the CRT's own limit.
            retries: attempts after the first, one at least, after pauses as in `storage.client`.
        """
        self._access = access
        self._connect_seconds = connect_seconds
        self._retries = retries

    def upload(self, bucket: str, files: Sequence[Upload], progress: Progress = unwatched) -> int:
        """Write files to the store; return their bytes. An object appears whole or not at all.

        Existing objects at the keys are replaced. After an error some of the files may have been written;
        it can be run again.

        Raises:
            StoreError: The store refused or can't be reached; `cause` says why.
            FailedError: A file can't be read, or is not what its SHA-256 says.
        """
        sizes = []
        for file in files:
            with on_disk("read", file.path):
                sizes.append(file.path.stat().st_size)
        if files:
            client, place = self._opened(bucket, f"write {files[0].key}")
            jobs = (
                UploadJob(place, file.key, file.path, size, file.sha256)
                for file, size in zip(files, sizes, strict=True)
            )
            run(client, jobs, sum(sizes), progress)
        return sum(sizes)

    def download(self, bucket: str, files: Sequence[Download], progress: Progress = unwatched) -> int:
        """Read objects into files; return their bytes. A file gets its name only when it is whole.

        Existing files are replaced.

        Raises:
            StoreError: The store refused, can't be reached, or an object is not the expected one.
            FailedError: A file can't be written.
        """
        for folder in {file.path.parent for file in files}:
            with on_disk("write", folder):
                folder.mkdir(parents=True, exist_ok=True)
        total = sum(file.size for file in files)
        if files:
            client, place = self._opened(bucket, f"read {files[0].key}")
            jobs = (DownloadJob(place, file.key, file.path, file.size, file.sha256) for file in files)
            run(client, jobs, total, progress)
        return total

    def _opened(self, bucket: str, doing: str) -> tuple[S3Client, crt.Bucket]:
        url = self._access.endpoint or open_store(self._access).meta.endpoint_url
        place = crt.Bucket(self._access, url, bucket)
        with translated_errors(doing):
            crt.require_trusted(place, self._connect_seconds)
            client = crt.opened(place, connect_seconds=self._connect_seconds, retries=self._retries)
        return client, place
