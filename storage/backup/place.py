"""The location of backups: a prefix of a bucket at any S3 endpoint that supports If-None-Match.

    <prefix>/blobs/sha256/<digest>                 content, stored once and shared by snapshots and stacks
    <prefix>/snapshots/<stack>/<id>/signature      of the index, with a key derived from the stack's secret
    <prefix>/snapshots/<stack>/<id>/backup.json    the index, which makes a snapshot; written last and once
    <prefix>/pruning/<id>.json                     the blobs that a running prune removes

An interrupted backup leaves blobs that no index names; the next backup uses them. The id ends in the
digest of the index, so that an altered index is detected.
"""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from botocore.exceptions import ClientError
from pydantic import SecretStr, ValidationError

from slipway.core.errors import FailedError, StoreError, UsageError
from storage.backup.index import Blob, Index, checked_id, checked_stack, snapshot_id
from storage.backup.signature import is_signed, sign
from storage.causes import Cause
from storage.client import is_missing, is_precondition, split_uri, translated_errors
from storage.registry.model_files import discard, download, listing
from storage.registry.version_files import File

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

INDEX: Final = "backup.json"
SIGNATURE: Final = "signature"
MAX_INDEX_BYTES: Final = 256 << 20
"""Enough for about a million objects."""

_FILE_NAMES: Final = {INDEX: "index", SIGNATURE: "signature"}

_DAMAGE: Final = (Cause.OBJECT_MISSING, Cause.DAMAGED, Cause.ALTERED)
_FIXES: Final = {
    Cause.CERTIFICATE: "Set the CA certificate of the backup store with --ca-file.",
    Cause.CLOCK_SKEW: "Correct the wrong clock with NTP.",
    Cause.FULL: "Free space there, then run the command again: existing blobs are not sent again.",
    Cause.QUOTA: "Raise the quota, then run the command again: existing blobs are not sent again.",
    Cause.BUCKET_MISSING: "Create the bucket, or name another.",
    Cause.UNREACHABLE: "Check --endpoint and that its store is up, then run the command again.",
    Cause.CUT: "Run the command again when its store is up: existing blobs are not sent again.",
    Cause.REGION: "Set the store's region with --region.",
}
_FIX: Final = "Check the key in SLIPWAY_BACKUP_ACCESS_KEY_ID and SLIPWAY_BACKUP_SECRET_ACCESS_KEY."


class BlobError(FailedError):
    """A blob is missing, or its content does not match its digest."""


@contextmanager
def translated_backup_errors(what: str) -> Iterator[None]:
    """Like `translated_errors`, for the backup store: the message says which of the two stores failed."""
    try:
        with translated_errors(what):
            yield
    except StoreError as error:
        summary = error.what.rpartition(": ")[2]
        raise StoreError(
            f"Could not {what} in the backup store: {summary}",
            cause=error.cause,
            why=error.why,
            fix=_FIXES.get(Cause(error.cause), _FIX),
        ) from error.__cause__


@dataclass(frozen=True)
class BackupPlace:
    """A location of backups."""

    client: "S3Client"
    bucket: str
    prefix: str
    """Empty, or ends in a slash."""

    @classmethod
    def at(cls, client: "S3Client", uri: str) -> "BackupPlace":
        """Return the location at an `s3://bucket/prefix` URI."""
        bucket, prefix = split_uri(uri)
        prefix = prefix.strip("/")
        return cls(client, bucket, f"{prefix}/" if prefix else "")

    # Blobs

    def pooled(self) -> dict[str, int]:
        """Return the sizes of the stored blobs by digest."""
        with translated_backup_errors("list the blobs"):
            return listing(self.client, self.bucket, self.prefix + "blobs/sha256/")

    def put(self, body: IO[bytes], blob: Blob, *, replace: bool = False) -> None:
        """Store content under its digest, which the store verifies.

        Args:
            body: The content; read from its start.
            blob: Size and digest of the content.
            replace: Whether to overwrite an existing blob, because it is known to be damaged.
        """
        condition = {} if replace else {"IfNoneMatch": "*"}
        body.seek(0)
        with translated_backup_errors(f"write blob {blob.sha256[:12]}"):
            try:
                self.client.put_object(
                    Bucket=self.bucket,
                    Key=self._blob(blob.sha256),
                    Body=body,
                    ChecksumSHA256=blob.checksum,
                    **condition,  # type: ignore[arg-type]
                )
            except ClientError as error:
                if not is_precondition(error):
                    raise

    def fetch(self, blob: Blob, into: IO[bytes] | None = None) -> None:
        """Read and verify a blob; writes it to `into` unless that is None.

        Raises:
            BlobError: It is missing, or its content does not match its digest.
        """
        write = into.write if into is not None else discard
        try:
            received = download(self.client, self.bucket, self._blob(blob.sha256), blob.sha256, write)
        except StoreError as error:
            if error.cause in _DAMAGE:
                raise BlobError(f"Blob {blob.sha256[:12]} can't be read back.", why=error.what) from error
            with translated_backup_errors(f"read blob {blob.sha256[:12]}"):
                raise (error.__cause__ or error) from None
        if received != File(path=blob.sha256, sha256=blob.sha256, size=blob.size):
            raise BlobError(
                f"Blob {blob.sha256[:12]} was altered in the backup store.",
                why=f"It has {received.size} bytes with digest {received.sha256[:12]}.",
            )

    def read(self, blob: Blob) -> bytes:
        """Return the content of a small blob; raises like `fetch`."""
        with io.BytesIO() as content:
            self.fetch(blob, content)
            return content.getvalue()

    # Snapshots

    def snapshots(self, stack: str | None = None) -> list[tuple[str, str]]:
        """Return stack and id of every snapshot, oldest first; a folder without an index is none."""
        root = self.prefix + "snapshots/" + (f"{checked_stack(stack)}/" if stack else "")
        with translated_backup_errors("list the snapshots"):
            keys = listing(self.client, self.bucket, root)
        snapshots = []
        for key in keys:
            parts = ([stack] if stack else []) + key.split("/")
            if len(parts) == 3 and parts[2] == INDEX:
                snapshots.append((parts[0], parts[1]))
        return sorted(snapshots, key=lambda each: (each[1], each[0]))

    def newest(self, stack: str) -> str:
        """Return the id of the stack's newest snapshot; raises UsageError if there is none."""
        snapshots = self.snapshots(stack)
        if not snapshots:
            stacks = ", ".join(sorted({name for name, _ in self.snapshots()})) or "no stack"
            raise UsageError(
                f"There is no backup of stack {stack!r} at s3://{self.bucket}/{self.prefix}.",
                why=f"There are backups of {stacks}.",
            )
        return snapshots[-1][1]

    def write(self, index: Index, key: SecretStr) -> str:
        """Sign and write a snapshot's index, which completes the snapshot; return its id."""
        content = index.encode()
        if len(content) > MAX_INDEX_BYTES:
            raise FailedError("The backup has too many objects for one index.")
        identity = snapshot_id(index.taken_at, content)
        self._write_once(index.stack, identity, SIGNATURE, sign(key, content))
        self._write_once(index.stack, identity, INDEX, content)
        return identity

    def _write_once(self, stack: str, identity: str, name: str, content: bytes) -> None:
        with translated_backup_errors(f"write the {_FILE_NAMES[name]} of {identity}"):
            try:
                self.client.put_object(
                    Bucket=self.bucket,
                    Key=self._of(stack, identity, name),
                    Body=content,
                    ContentType="application/json" if name == INDEX else "text/plain",
                    IfNoneMatch="*",
                )
            except ClientError as error:
                # The name contains the digest: an existing object is identical, or `index` rejects it.
                if not is_precondition(error):
                    raise

    def forget(self, stack: str, snapshot: str) -> None:
        """Remove a snapshot's index, then its signature; its blobs are kept."""
        for name in (INDEX, SIGNATURE):
            with translated_backup_errors(f"remove the {_FILE_NAMES[name]} of {snapshot}"):
                self.client.delete_object(Bucket=self.bucket, Key=self._of(stack, snapshot, name))

    def index(self, stack: str, snapshot: str, key: SecretStr | None = None) -> Index:
        """Read a snapshot's index; with a `key`, verify its signature.

        Raises:
            UsageError: There is no such snapshot.
            FailedError: It was altered, belongs to another stack, or is not signed with the key.
        """
        content = self._read(checked_stack(stack), checked_id(snapshot), INDEX)
        if content is None:
            raise UsageError(
                f"Stack {stack!r} has no snapshot {snapshot}.",
                why=f"Nothing is at s3://{self.bucket}/{self._of(stack, snapshot, INDEX)}.",
                fix="List the snapshots with `slipway backup list`.",
            )
        if hashlib.sha256(content).hexdigest()[:16] != snapshot.rpartition("-")[2]:
            raise FailedError(
                f"The index of snapshot {snapshot} was altered in the backup store.",
                why="Its digest does not match its name.",
            )
        if key is not None:
            self._require_signed(stack, snapshot, content, key)
        return _parsed(content, stack, snapshot)

    def _require_signed(self, stack: str, snapshot: str, content: bytes, key: SecretStr) -> None:
        signature = self._read(stack, snapshot, SIGNATURE)
        if signature is None:
            raise FailedError(
                f"Snapshot {snapshot} is not signed.",
                why="It was made by an earlier Slipway, or by someone with write access to the backup store.",
                fix="If you are sure that it is yours, add --unsigned.",
            )
        if not is_signed(key, content, signature):
            raise FailedError(
                f"Snapshot {snapshot} was not signed with the secret of stack {stack}.",
                why="It was made by someone without that secret, or the stack's secret has changed since.",
                fix="If you are sure that it is yours, add --unsigned.",
            )

    def _read(self, stack: str, snapshot: str, name: str) -> bytes | None:
        with translated_backup_errors(f"read the {_FILE_NAMES[name]} of {snapshot}"):
            try:
                body = self.client.get_object(Bucket=self.bucket, Key=self._of(stack, snapshot, name))["Body"]
            except ClientError as error:
                if not is_missing(error):
                    raise
                return None
            return body.read(MAX_INDEX_BYTES + 1)

    def _blob(self, sha256: str) -> str:
        return f"{self.prefix}blobs/sha256/{sha256}"

    def _of(self, stack: str, snapshot: str, name: str) -> str:
        return f"{self.prefix}snapshots/{stack}/{snapshot}/{name}"


def _parsed(content: bytes, stack: str, snapshot: str) -> Index:
    try:
        index = Index.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        raise FailedError(
            f"The index of snapshot {snapshot} is invalid.",
            why=f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}.",
        ) from error
    if index.stack != stack or snapshot_id(index.taken_at, content) != snapshot:
        raise FailedError(
            f"The index of snapshot {snapshot} belongs to another snapshot.",
            why=f"It is of stack {index.stack}, {index.taken_at}.",
        )
    return index
