"""Large objects: in parts, which many workers move at once, and which become visible all together."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.client import HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from awscrt import checksums

from slipway.core.errors import FailedError, SlipwayError
from storage.client import asking
from storage.transfer.landing import Landing, altered, checked_sums, received
from storage.transfer.parts import InOrder, Stretch, encoded, on_disk, part_size, span_size
from storage.transfer.pool import Tally, Task
from storage.transfer.signing import UNSIGNED
from storage.transfer.wire import Request, Wire, drained

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class _Parts:
    """What is common to both directions: how many parts, which are done, and what their checksums are."""

    def __init__(self, size: int, each: int) -> None:
        self.size, self.each = size, each
        self.count = -(-size // self.each)
        self.crcs: dict[int, int] = {}
        self._left = self.count
        self._lock = threading.Lock()

    def length(self, number: int) -> int:
        """Bytes of part `number`, counted from 0."""
        return min(self.each, self.size - number * self.each)

    def done(self, number: int, crc: int) -> bool:
        """Note a part's checksum; whether it was the last part to be done."""
        with self._lock:
            self.crcs[number] = crc
            self._left -= 1
            return self._left == 0

    def crc(self) -> int:
        """The whole object's checksum, of those of its parts."""
        whole = 0
        for number in range(self.count):
            whole = checksums.combine_crc64nvme(whole, self.crcs[number], self.length(number))
        return whole


class LargeUpload:
    """One multipart upload: nothing of it is to be seen in the store until its last part is there."""

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        key: str,
        path: Path,
        size: int,
        sha256: str | None,
        tally: Tally,
    ) -> None:
        self._client, self._bucket, self._key, self._path = client, bucket, key, path
        self._sha256 = sha256
        self._tally = tally
        self._parts = _Parts(size, part_size(size))
        self._etags: dict[int, str] = {}
        self._hash = InOrder(self._stretch) if sha256 else None
        self._lock = threading.Lock()
        self._descriptor = -1
        self._upload_id = ""

    def tasks(self) -> Iterator[Task]:
        """One for each part."""
        return (partial(self._send, number) for number in range(self._parts.count))

    def abandon(self) -> None:
        """Remove what is there of an upload that did not end well, as far as the store lets us.

        What is left of it nobody can read, and the bucket's lifecycle removes it.
        """
        self._close()
        if self._upload_id:
            with suppress(SlipwayError), asking(f"abort the upload of {self._key}"):
                self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=self._key, UploadId=self._upload_id
                )

    def _begin(self) -> str:
        with self._lock:
            if not self._upload_id:
                with on_disk("read", self._path):
                    self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                with asking(f"write {self._key}"):
                    answer = self._client.create_multipart_upload(
                        Bucket=self._bucket,
                        Key=self._key,
                        ChecksumAlgorithm="CRC64NVME",
                        ChecksumType="FULL_OBJECT",
                    )
                self._upload_id = answer["UploadId"]
            return self._upload_id

    def _stretch(self, number: int) -> Stretch:
        start = number * self._parts.each
        return Stretch(self._descriptor, start, self._parts.length(number), self._path)

    def _send(self, number: int, wire: Wire) -> None:
        upload_id = self._begin()
        stretch = self._stretch(number)
        crc = stretch.crc()
        request = Request(
            "PUT",
            self._bucket,
            self._key,
            {"partNumber": str(number + 1), "uploadId": upload_id},
            {"x-amz-checksum-crc64nvme": encoded(crc)},
            UNSIGNED,
            stretch,
        )
        with asking(f"write {self._key}"):
            self._etags[number] = wire.ask(request, drained)["etag"]
        if self._hash:
            self._hash.finished(number)
        last = self._parts.done(number, crc)
        if last:
            self._complete()
        self._tally.add(stretch.size)

    def _complete(self) -> None:
        if self._hash and self._hash.hexdigest() != self._sha256:
            raise FailedError(
                f"{self._path} was not uploaded.", why=f"Its SHA-256 is not {self._sha256}, as was expected."
            )
        parts: Any = [
            {
                "PartNumber": number + 1,
                "ETag": self._etags[number],
                "ChecksumCRC64NVME": encoded(self._parts.crcs[number]),
            }
            for number in range(self._parts.count)
        ]
        with asking(f"write {self._key}"):
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._upload_id,
                MultipartUpload={"Parts": parts},
                ChecksumType="FULL_OBJECT",
                ChecksumCRC64NVME=encoded(self._parts.crc()),
            )
        self._upload_id = ""
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class LargeDownload:
    """One object read in ranges of one and the same version, into a file that is renamed at the end."""

    def __init__(
        self, bucket: str, key: str, path: Path, size: int, sha256: str | None, tally: Tally
    ) -> None:
        self._bucket, self._key = bucket, key
        self._sha256 = sha256
        self._tally = tally
        self._parts = _Parts(size, span_size(size, tally.total))
        self._landing = Landing(path)
        self._hash = InOrder(self._stretch) if sha256 else None
        self._lock = threading.Lock()
        self._etag = ""
        self._told: str | None = None

    def tasks(self) -> Iterator[Task]:
        """One for each part."""
        return (partial(self._take, number) for number in range(self._parts.count))

    def abandon(self) -> None:
        """Remove what is there of a download that did not end well."""
        self._landing.abandon()

    def _begin(self, wire: Wire) -> str:
        with self._lock:
            if not self._etag:
                request = Request("HEAD", self._bucket, self._key, headers={"x-amz-checksum-mode": "ENABLED"})
                with asking(f"read {self._key}"):
                    told = wire.ask(request, drained)
                if int(told["content-length"]) != self._parts.size:
                    raise altered(self._key, "It has another size than it was listed with.")
                self._told = told.get("x-amz-checksum-crc64nvme")
                self._landing.open()
                self._etag = told["etag"]
            return self._etag

    def _stretch(self, number: int) -> Stretch:
        start = number * self._parts.each
        return Stretch(self._landing.descriptor, start, self._parts.length(number), self._landing.path)

    def _take(self, number: int, wire: Wire) -> None:
        etag = self._begin(wire)
        start, size = number * self._parts.each, self._parts.length(number)
        span = {"range": f"bytes={start}-{start + size - 1}", "if-match": etag}

        def take(answer: HTTPResponse) -> int:
            crc, offset = 0, start
            for chunk in received(answer, size, wire.stop):
                self._landing.write(chunk, offset)
                crc = checksums.crc64nvme(chunk, crc)
                offset += len(chunk)
            return crc

        with asking(f"read {self._key}"):
            crc = wire.ask(Request("GET", self._bucket, self._key, headers=span), take)
        if self._hash:
            self._hash.finished(number)
        if self._parts.done(number, crc):
            sha256 = self._hash.hexdigest() if self._hash else None
            checked_sums(self._key, self._parts.crc(), self._told, sha256, self._sha256)
            self._landing.land()
        self._tally.add(size)
