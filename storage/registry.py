"""Model versions and aliases in the models bucket: immutable, addressed by content, moved atomically.

    files/…        written first; nobody looks at them before the manifest is there
    manifest.json  written last and only once (If-None-Match), so a torn upload is never a version
    aliases        replaced by compare-and-set (If-Match), with a counter that only grows
    history        appended with If-None-Match on the next number

Every record names its tenant and model and is refused under any other. Nothing relies on If-Match
for DELETE, which MinIO ignores. Which files a model may hold is promotion's business, not ours.
"""

import base64
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import ClientError
from pydantic import ValidationError

from storage.client import asking, is_missing, is_precondition
from storage.errors import FailedError, UsageError
from storage.layout import (
    alias_key,
    checked_name,
    history_key,
    history_prefix,
    model_prefix,
    tenant_prefix,
    version_prefix,
)
from storage.model_files import File, Staged, checked_paths, digest_of, discard, download, listing
from storage.records import Alias, Entry, Held, HistoryEntry, Manifest, ModelVersion

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_RECORD_BYTES: Final = 4 << 20

E = TypeVar("E", bound=Entry)


class ConflictError(FailedError):
    """Somebody else moved the alias since it was read; they won, and nothing of ours is visible."""


class Registry:
    """The models of one tenant."""

    def __init__(self, client: "S3Client", bucket: str, tenant: str) -> None:
        self._client = client
        self._bucket = bucket
        self._tenant = checked_name("tenant", tenant)

    # Versions

    def publish(self, model: str, staged: Staged) -> ModelVersion:
        """Publish staged files as an immutable version. Publishing it again changes nothing.

        Raises:
            FailedError: The store failed, or holds another thing under this digest.
        """
        digest = staged.digest
        prefix = version_prefix(self._tenant, model, digest)
        checked_paths((file.path for file in staged.files), below=prefix + "files/")
        if self._manifest(model, digest) is None:
            for file in staged.files:
                self._put_file(prefix + "files/" + file.path, staged.folder / file.path, file)
            manifest = Manifest(tenant=self._tenant, model=model, digest=digest, files=staged.files)
            # A loser of this race wrote the same bytes to the same keys: verify decides, not the winner.
            self._put(prefix + "manifest.json", manifest, IfNoneMatch="*")
        return self.verify(model, digest)

    def show(self, model: str, digest: str) -> ModelVersion:
        """A published version by its manifest; UsageError if there is none."""
        manifest = self._manifest(model, digest)
        if manifest is None:
            raise UsageError(f"Model {model!r} of {self._tenant} has no version {digest[:12]}.")
        return self._version(manifest)

    def verify(self, model: str, digest: str) -> ModelVersion:
        """Read every byte of a version back and compare it with its digest.

        Raises:
            FailedError: A file is missing, foreign or differs.
        """
        version = self.show(model, digest)
        prefix = version_prefix(self._tenant, model, digest) + "files/"
        listed = set(listing(self._client, self._bucket, prefix))
        expected = {file.path for file in version.files}
        if listed != expected:
            raise FailedError(
                f"Version {digest[:12]} of {model} is not what its manifest says.",
                why=f"Missing: {sorted(expected - listed)}; foreign: {sorted(listed - expected)}.",
            )
        for file in version.files:
            if download(self._client, self._bucket, prefix + file.path, file.path, discard) != file:
                raise FailedError(
                    f"{file.path} of version {digest[:12]} of {model} was altered in the store."
                )
        return version

    def list_models(self) -> list[str]:
        """Names of the tenant's models."""
        return self._folders(tenant_prefix(self._tenant))

    def list_versions(self, model: str) -> list[str]:
        """Digests of the published versions, sorted; torn uploads are not among them."""
        found = self._folders(model_prefix(self._tenant, model) + "versions/")
        return [digest for digest in found if self._manifest(model, digest) is not None]

    # Aliases

    def read_alias(self, model: str, alias: str) -> Held | None:
        """The alias as it is now, or None if it was never moved."""
        key = alias_key(self._tenant, model, alias)
        found = self._get(key, Alias)
        if found is None:
            return None
        record, etag = found
        if (record.tenant, record.model, record.alias) != (self._tenant, model, alias):
            raise FailedError(
                f"The record of {self._tenant}/{model}@{alias} was made for another alias.",
                why=f"It names {record.tenant}/{record.model}@{record.alias}.",
            )
        return Held(record, etag)

    def move_alias(
        self, model: str, alias: str, digest: str, *, expected: Held | None, history: int
    ) -> Alias:
        """Point the alias at a published version, if it still is what `expected` says.

        Raises:
            ConflictError: It is not; another promotion won.
        """
        self.show(model, digest)
        record = Alias(
            tenant=self._tenant,
            model=model,
            alias=alias,
            digest=digest,
            number=expected.record.number + 1 if expected else 1,
            history=history,
            moved_at=datetime.now(UTC),
            token=secrets.token_hex(16),
        )
        condition = {"IfMatch": expected.etag} if expected else {"IfNoneMatch": "*"}
        if self._put(alias_key(self._tenant, model, alias), record, **condition):
            return record
        # A retried request may have met its own first attempt: then the token is ours.
        now = self.read_alias(model, alias)
        if now is not None and now.record.token == record.token:
            return now.record
        raise ConflictError(
            f"{model}@{alias} moved meanwhile; this change was not made.",
            why=f"It points at {now.record.digest[:12]} since move {now.record.number}." if now else "",
            fix="Look at what is served now, then promote again if it is still wanted.",
        )

    # History

    def append_history(self, model: str, event: str, digest: str, details: Mapping[str, Any]) -> HistoryEntry:
        """Append to the promotion log under the next free number."""
        number = self._last_number(model) + 1
        token = secrets.token_hex(16)
        while True:
            entry = HistoryEntry(
                tenant=self._tenant,
                model=model,
                number=number,
                event=event,
                digest=digest,
                at=datetime.now(UTC),
                token=token,
                details=dict(details),
            )
            if self._put(history_key(self._tenant, model, number), entry, IfNoneMatch="*"):
                return entry
            there = self.read_history(model, number)
            if there is not None and there.token == token:
                return there
            number += 1

    def read_history(self, model: str, number: int) -> HistoryEntry | None:
        """One entry of the log, or None."""
        found = self._get(history_key(self._tenant, model, number), HistoryEntry)
        if found is None:
            return None
        entry, _ = found
        if (entry.tenant, entry.model, entry.number) != (self._tenant, model, number):
            raise FailedError(f"Log entry {number} of {self._tenant}/{model} was made for another place.")
        return entry

    def history(self, model: str) -> list[HistoryEntry]:
        """The whole log in order."""
        entries = (self.read_history(model, number) for number in self._numbers(model))
        return [entry for entry in entries if entry is not None]

    def _last_number(self, model: str) -> int:
        return max(self._numbers(model), default=0)

    def _numbers(self, model: str) -> list[int]:
        names = listing(self._client, self._bucket, history_prefix(self._tenant, model))
        stems = (name.removesuffix(".json") for name in names)
        return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())

    # Objects

    def _version(self, manifest: Manifest) -> ModelVersion:
        prefix = version_prefix(self._tenant, manifest.model, manifest.digest)
        return ModelVersion(
            tenant=self._tenant,
            model=manifest.model,
            digest=manifest.digest,
            storage_uri=f"s3://{self._bucket}/{prefix}files",
            files=manifest.files,
        )

    def _manifest(self, model: str, digest: str) -> Manifest | None:
        found = self._get(version_prefix(self._tenant, model, digest) + "manifest.json", Manifest)
        if found is None:
            return None
        manifest, _ = found
        bound = (manifest.tenant, manifest.model, manifest.digest) == (self._tenant, model, digest)
        if not bound or digest_of(manifest.files) != digest:
            raise FailedError(f"The manifest of {self._tenant}/{model} {digest[:12]} is not of this version.")
        checked_paths(file.path for file in manifest.files)
        return manifest

    def _folders(self, prefix: str) -> list[str]:
        with asking(f"list {prefix}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix, Delimiter="/"
            )
            found = [str(entry.get("Prefix")) for page in pages for entry in page.get("CommonPrefixes", [])]
        return sorted(folder.removeprefix(prefix).rstrip("/") for folder in found)

    def _put_file(self, key: str, path: Path, file: File) -> None:
        checksum = base64.b64encode(bytes.fromhex(file.sha256)).decode()
        with asking(f"write {key}"), path.open("rb") as body:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ChecksumSHA256=checksum)

    def _put(self, key: str, entry: Entry, **condition: str) -> bool:
        """Write a record under a condition; False if the condition did not hold."""
        content = entry.model_dump_json(indent=1).encode()
        with asking(f"write {key}"):
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=content,
                    ContentType="application/json",
                    **condition,  # type: ignore[arg-type]
                )
            except ClientError as error:
                # If-Match on an object that is gone answers 404: the condition did not hold either.
                if is_precondition(error) or (is_missing(error) and "IfMatch" in condition):
                    return False
                raise
        return True

    def _get(self, key: str, kind: type[E]) -> tuple[E, str] | None:
        with asking(f"read {key}"):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
            content = answer["Body"].read(MAX_RECORD_BYTES + 1)
        try:
            return kind.model_validate_json(content), answer["ETag"]
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            raise FailedError(f"{key} is not a valid record.", why=str(problem["msg"])) from error
