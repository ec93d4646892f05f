"""Where backups are kept: a prefix of a bucket at any S3 endpoint that takes If-None-Match.

    <prefix>/blobs/sha256/<digest>                 bytes, each once, whatever snapshot or stack needs them
    <prefix>/snapshots/<stack>/<id>/signature      of the index, by a key that derives from the stack's secret
    <prefix>/snapshots/<stack>/<id>/backup.json    the index: what makes a snapshot, written last and once
    <prefix>/pruning/<id>.json                     which blobs a prune under way removes

A backup that is cut off leaves blobs that no index names, and the next one uses them. The id ends in the
digest of the index, so an index that was altered is not the one that it says it is.
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
"""About a million objects."""

_CALLED: Final = {INDEX: "index", SIGNATURE: "signature"}

_DAMAGE: Final = (Cause.OBJECT_MISSING, Cause.DAMAGED, Cause.ALTERED)
_FIXES: Final = {
    Cause.CERTIFICATE: "Give the certificate of the authority that signed it with --ca-file.",
    Cause.CLOCK_SKEW: "Mend the clock that is wrong, by NTP.",
    Cause.FULL: "Make room there, then run the command again: what is there is not sent again.",
    Cause.QUOTA: "Raise the quota, then run the command again: what is there is not sent again.",
    Cause.BUCKET_MISSING: "Make the bucket, or name another.",
    Cause.UNREACHABLE: "Check --endpoint and that its store is up, then run the command again.",
    Cause.CUT: "Run the command again when its store is up: what is there is not sent again.",
    Cause.REGION: "Give the store's region with --region.",
}
_FIX: Final = "Check the key in SLIPWAY_BACKUP_ACCESS_KEY_ID and SLIPWAY_BACKUP_SECRET_ACCESS_KEY."


class BlobError(FailedError):
    """A blob is missing, or its bytes are not those of its name."""


@contextmanager
def keeping(what: str) -> Iterator[None]:
    """As `translated_errors`, for the store of backups: its reader must know which store failed."""
    try:
        with translated_errors(what):
            yield
    except StoreError as error:
        says = error.what.rpartition(": ")[2]
        raise StoreError(
            f"Could not {what} among the backups: {says}",
            cause=error.cause,
            why=error.why,
            fix=_FIXES.get(Cause(error.cause), _FIX),
        ) from error.__cause__


@dataclass(frozen=True)
class BackupPlace:
    """One place of backups."""

    client: "S3Client"
    bucket: str
    prefix: str
    """Empty, or ending in a slash."""

    @classmethod
    def at(cls, client: "S3Client", uri: str) -> "BackupPlace":
        """The place at an `s3://bucket/prefix`."""
        bucket, prefix = split_uri(uri)
        prefix = prefix.strip("/")
        return cls(client, bucket, f"{prefix}/" if prefix else "")

    # Blobs

    def pooled(self) -> dict[str, int]:
        """Sizes of the blobs that are there, by digest."""
        with keeping("list the blobs"):
            return listing(self.client, self.bucket, self.prefix + "blobs/sha256/")

    def put(self, body: IO[bytes], blob: Blob, *, replace: bool = False) -> None:
        """Keep bytes under their digest; the store compares them with it on arrival.

        Args:
            body: positioned anywhere.
            blob: what the bytes are.
            replace: whether to write even where the pool has one of this name, which is known damaged.
        """
        condition = {} if replace else {"IfNoneMatch": "*"}
        body.seek(0)
        with keeping(f"write blob {blob.sha256[:12]}"):
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
        """Read a blob through, to `into` or to nowhere.

        Raises:
            BlobError: It is missing, or its bytes are others.
        """
        write = into.write if into is not None else discard
        try:
            found = download(self.client, self.bucket, self._blob(blob.sha256), blob.sha256, write)
        except StoreError as error:
            if error.cause in _DAMAGE:
                raise BlobError(f"Blob {blob.sha256[:12]} can't be read back.", why=error.what) from error
            with keeping(f"read blob {blob.sha256[:12]}"):
                raise (error.__cause__ or error) from None
        if found != File(path=blob.sha256, sha256=blob.sha256, size=blob.size):
            raise BlobError(
                f"Blob {blob.sha256[:12]} was altered in the backups' store.",
                why=f"It has {found.size} bytes with digest {found.sha256[:12]}.",
            )

    def read(self, blob: Blob) -> bytes:
        """Return a small blob's bytes; raises as `fetch`."""
        with io.BytesIO() as content:
            self.fetch(blob, content)
            return content.getvalue()

    # Snapshots

    def snapshots(self, stack: str | None = None) -> list[tuple[str, str]]:
        """Stack and id of every snapshot, oldest first; what has no index is none."""
        root = self.prefix + "snapshots/" + (f"{checked_stack(stack)}/" if stack else "")
        with keeping("list the snapshots"):
            keys = listing(self.client, self.bucket, root)
        found = []
        for key in keys:
            parts = ([stack] if stack else []) + key.split("/")
            if len(parts) == 3 and parts[2] == INDEX:
                found.append((parts[0], parts[1]))
        return sorted(found, key=lambda each: (each[1], each[0]))

    def newest(self, stack: str) -> str:
        """Id of the stack's newest snapshot; UsageError if it has none."""
        found = self.snapshots(stack)
        if not found:
            there = ", ".join(sorted({name for name, _ in self.snapshots()})) or "no stack at all"
            raise UsageError(
                f"There is no backup of stack {stack!r} at s3://{self.bucket}/{self.prefix}.",
                why=f"There are backups of {there}.",
            )
        return found[-1][1]

    def write(self, index: Index, key: SecretStr) -> str:
        """Sign and write a snapshot's index, which makes it one; return the snapshot's id."""
        content = index.encode()
        if len(content) > MAX_INDEX_BYTES:
            raise FailedError("The backup has too many objects for one index.")
        identity = snapshot_id(index.taken_at, content)
        self._write_once(index.stack, identity, SIGNATURE, sign(key, content))
        self._write_once(index.stack, identity, INDEX, content)
        return identity

    def _write_once(self, stack: str, identity: str, name: str, content: bytes) -> None:
        with keeping(f"write the {_CALLED[name]} of {identity}"):
            try:
                self.client.put_object(
                    Bucket=self.bucket,
                    Key=self._of(stack, identity, name),
                    Body=content,
                    ContentType="application/json" if name == INDEX else "text/plain",
                    IfNoneMatch="*",
                )
            except ClientError as error:
                # The name holds the digest: whatever is there already is this, or `index` will say so.
                if not is_precondition(error):
                    raise

    def forget(self, stack: str, snapshot: str) -> None:
        """Remove a snapshot's index, then its signature; its blobs stay."""
        for name in (INDEX, SIGNATURE):
            with keeping(f"remove the {_CALLED[name]} of {snapshot}"):
                self.client.delete_object(Bucket=self.bucket, Key=self._of(stack, snapshot, name))

    def index(self, stack: str, snapshot: str, key: SecretStr | None = None) -> Index:
        """Read a snapshot's index; with a `key`, only one that was signed with it.

        Raises:
            UsageError: There is no such snapshot.
            FailedError: It was altered, is not of this stack, or is not signed with the key.
        """
        content = self._read(checked_stack(stack), checked_id(snapshot), INDEX)
        if content is None:
            raise UsageError(
                f"Stack {stack!r} has no snapshot {snapshot}.",
                why=f"Nothing is at s3://{self.bucket}/{self._of(stack, snapshot, INDEX)}.",
                fix="`slipway backup list` names those that there are.",
            )
        if hashlib.sha256(content).hexdigest()[:16] != snapshot.rpartition("-")[2]:
            raise FailedError(
                f"The index of snapshot {snapshot} was altered in the backups' store.",
                why="Its digest is not the one in its name.",
            )
        if key is not None:
            self._require_signed(stack, snapshot, content, key)
        return _parsed(content, stack, snapshot)

    def _require_signed(self, stack: str, snapshot: str, content: bytes, key: SecretStr) -> None:
        signature = self._read(stack, snapshot, SIGNATURE)
        if signature is None:
            raise FailedError(
                f"Snapshot {snapshot} is not signed.",
                why="An earlier Slipway made it, or somebody who may write to the backups' store.",
                fix="If you know that it is yours, add --unsigned.",
            )
        if not is_signed(key, content, signature):
            raise FailedError(
                f"Snapshot {snapshot} was not signed with the secret of stack {stack}.",
                why="Somebody without that secret made it, or the stack has another secret since.",
                fix="If you know that it is yours, add --unsigned.",
            )

    def _read(self, stack: str, snapshot: str, name: str) -> bytes | None:
        with keeping(f"read the {_CALLED[name]} of {snapshot}"):
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
            f"Snapshot {snapshot} is refused.",
            why=f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}.",
        ) from error
    if index.stack != stack or snapshot_id(index.taken_at, content) != snapshot:
        raise FailedError(
            f"Snapshot {snapshot} is refused.", why=f"Its index is of stack {index.stack}, {index.taken_at}."
        )
    return index
