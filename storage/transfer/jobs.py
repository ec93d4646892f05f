"""The upload or download of one object by the AWS CRT: request, checks, and what happens after a failure."""

import hashlib
import secrets
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from awscrt import checksums

from slipway.core.errors import FailedError, StoreError
from storage.causes import Cause, explain
from storage.checksums import encoded_sha256
from storage.client import RETRIES, open_store, translated_errors
from storage.registry.model_files import MAX_VERSION_BYTES, download
from storage.transfer import crt
from storage.transfer.failures import as_botocore, disk_reason, is_unexplained

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK: Final = 1 << 20
_EMPTY: Final = hashlib.sha256().hexdigest()


@contextmanager
def on_disk(doing: str, path: Path) -> Iterator[None]:
    """Turn this machine's errors into a FailedError that names the file."""
    try:
        yield
    except OSError as error:
        raise FailedError(f"Could not {doing} {path}.", why=f"{error.strerror}.") from error


class UploadJob:
    """The upload of one file."""

    def __init__(self, bucket: crt.Bucket, key: str, path: Path, size: int, sha256: str | None) -> None:
        self.size = size
        self._bucket, self._key, self._path, self._sha256 = bucket, key, path, sha256
        self._crc = ""

    def request(self) -> dict[str, Any]:
        """See Job; raises FailedError if the file is not what its SHA-256 says."""
        if self._sha256 is not None:
            self._crc = _checked(self._path, self._sha256)
        # With it the store compares what arrives with the bytes that were hashed, even if the file changes.
        known = {"x-amz-checksum-crc64nvme": self._crc} if self._crc and self.size <= crt.PART else {}
        return crt.put(self._bucket, self._key, self._path, self.size, known)

    def finish(self) -> None:
        """See Job; raises FailedError if the file changed between its SHA-256 and its upload."""
        if not self._crc or self.size <= crt.PART:
            return
        # For an object in parts MinIO does not accept the checksum in advance, as the CRT would send it.
        client, bucket, key = _ordinary_client(self._bucket), self._bucket.name, self._key
        with translated_errors(f"write {key}"):
            kept = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
            if kept.get("ChecksumCRC64NVME") == self._crc:
                return
            client.delete_object(Bucket=bucket, Key=key)
        raise FailedError(f"{self._path} was not uploaded.", why="It changed while it was read.")

    def abandon(self) -> None:
        """See Job. The CRT itself removes the parts of an upload that did not succeed."""

    def fail(self, error: BaseException) -> None:
        """See Job."""
        with on_disk("read", self._path):
            if self._path.stat().st_size < self.size:
                why = "It became shorter while it was read."
                raise FailedError(f"Could not read {self._path}.", why=why) from error
        if reason := disk_reason(error):
            raise FailedError(f"Could not read {self._path}.", why=reason) from error
        known = as_botocore(error, self._bucket.url)
        with translated_errors(f"write {self._key}"):
            if not is_unexplained(known):
                raise known
            sums = {"ChecksumCRC64NVME": self._crc} if self._crc else {"ChecksumAlgorithm": "CRC64NVME"}
            arguments = {**sums, "ChecksumType": "FULL_OBJECT"}
            # A connection that breaks while a store reads a body can be an answer 400, which the CRT never
            # tries again: all further attempts are still to come.
            retries = RETRIES if getattr(error, "status_code", None) == 400 else 0
            with self._path.open("rb") as file:
                _ordinary_client(self._bucket, retries).upload_fileobj(
                    file, self._bucket.name, self._key, ExtraArgs=arguments
                )


class DownloadJob:
    """The download of one object to a file, which has a temporary name until it is complete."""

    def __init__(self, bucket: crt.Bucket, key: str, path: Path, size: int, sha256: str | None) -> None:
        self.size = size
        self._bucket, self._key, self._path, self._sha256 = bucket, key, path, sha256
        # A random name, at which nobody can have put a link; in the same folder, so that a rename suffices.
        self._part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")

    def request(self) -> dict[str, Any]:
        """See Job."""
        sha256 = encoded_sha256(self._sha256) if self._sha256 else None
        return crt.get(self._bucket, self._key, self._part, self.size, sha256)

    def finish(self) -> None:
        """See Job; raises StoreError if the object is not the expected one."""
        with on_disk("write", self._path):
            if self._part.stat().st_size != self.size:
                raise _altered(self._key, "Its size differs from the size in the listing.")
            if not self.size and self._sha256 not in (None, _EMPTY):
                raise _altered(self._key, "It is empty.")
            self._part.replace(self._path)

    def abandon(self) -> None:
        """See Job."""
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def fail(self, error: BaseException) -> None:
        """See Job."""
        if reason := disk_reason(error):
            raise FailedError(f"Could not write {self._path}.", why=reason) from error
        known = as_botocore(error, self._bucket.url)
        with translated_errors(f"read {self._key}"):
            if not is_unexplained(known) or self.size > MAX_VERSION_BYTES:
                raise known
        with on_disk("write", self._path), self._part.open("wb") as file:
            received = download(
                _ordinary_client(self._bucket), self._bucket.name, self._key, self._key, file.write
            )
        if self._sha256 not in (None, received.sha256):
            raise _altered(self._key, f"Its SHA-256 is not {self._sha256}, as expected.")


def _ordinary_client(bucket: crt.Bucket, retries: int = 0) -> "S3Client":
    """Open boto3's ordinary client, which repeats a request that the CRT gave up without a reason.

    The CRT keeps neither code nor message of an answer of 500 and above, so a store that is full, busy or
    damaged would get the same message; and a store that can't read an object back cuts its answer short.
    """
    return open_store(bucket.access, retries=retries)


def _checked(path: Path, sha256: str) -> str:
    """Return a file's CRC-64/NVME as S3 writes it, if its SHA-256 is the one that is expected."""
    hasher, crc = hashlib.sha256(), 0
    with on_disk("read", path), path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            hasher.update(chunk)
            crc = checksums.crc64nvme(chunk, crc)
    if hasher.hexdigest() != sha256:
        raise FailedError(f"{path} was not uploaded.", why=f"Its SHA-256 is not {sha256}, as expected.")
    return b64encode(crc.to_bytes(8, "big")).decode()


def _altered(key: str, why: str) -> StoreError:
    known = explain(Cause.ALTERED)
    return StoreError(f"Could not read {key}: {known.summary}.", cause=Cause.ALTERED, why=why, fix=known.fix)
