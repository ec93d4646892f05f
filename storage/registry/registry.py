"""Model versions and aliases in the models bucket: immutable, addressed by content, moved atomically.

    files/…        written first; not read before the manifest exists
    manifest.json  written last and only once (If-None-Match), so an incomplete upload is never a version
    history        appended with If-None-Match on the next number
    aliases        replaced by compare-and-set (If-Match), with a counter that only grows

Every record names its tenant and model and is refused under any other. Nothing relies on If-Match
for DELETE, which MinIO ignores. Promotion decides which files a model may contain, not the registry.

The log is written before the alias is moved: its entry is what a concurrent garbage collection must
notice, see storage.registry.collection. So an alias is only moved to a version that its log entry names.
"""

import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.core.errors import FailedError, UsageError
from slipway.core.parallel import in_parallel
from storage.checksums import encoded_sha256
from storage.client import translated_errors
from storage.layout import (
    MANIFEST,
    alias_key,
    aliases_prefix,
    checked_name,
    history_key,
    history_prefix,
    manifest_key,
    model_prefix,
    tenant_prefix,
    version_prefix,
)
from storage.lifecycle import require_kept
from storage.registry.author import author
from storage.registry.model_files import Staged, listing
from storage.registry.promotion_record import Details
from storage.registry.record_store import ABSENT, RecordStore
from storage.registry.records import Alias, AliasSnapshot, HistoryEntry, Lineage, Manifest, ModelVersion
from storage.registry.verification import verify
from storage.registry.version_files import SHORT_DIGEST, File, checked_paths, digest_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class ConflictError(FailedError):
    """Somebody else moved the alias since it was read; their move holds, and ours was not made."""


class Registry:
    """The models of one tenant. `by` is the author of changes, by default the current user or CI job."""

    def __init__(self, client: "S3Client", bucket: str, tenant: str, *, by: str | None = None) -> None:
        self._client = client
        self._bucket = bucket
        self._tenant = checked_name("tenant", tenant)
        self._by = author() if by is None else by
        self._records = RecordStore(client, bucket)

    # Versions

    def publish(self, model: str, staged: Staged, lineage: Lineage) -> ModelVersion:
        """Publish staged files as an immutable version. Publishing it again changes nothing.

        The lineage is that of the first publication of these bytes.

        Raises:
            FailedError: The store failed, or has other files under this digest.
        """
        digest = staged.digest
        prefix = version_prefix(self._tenant, model, digest)
        checked_paths((file.path for file in staged.files), below=prefix + "files/")
        if self._manifest(model, digest) is None:
            in_parallel(
                lambda file: self._put_file(prefix + "files/" + file.path, staged.folder / file.path, file),
                staged.files,
            )
            manifest = Manifest(
                tenant=self._tenant,
                model=model,
                digest=digest,
                files=staged.files,
                lineage=lineage,
                by=self._by,
                at=datetime.now(UTC),
            )
            # The loser of this race wrote the same bytes to the same keys, so both writers verify.
            self._records.put(prefix + MANIFEST, manifest, ABSENT)
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
            FailedError: A file is missing, unexpected or differs.
        """
        version = self.show(model, digest)
        verify(self._client, self._bucket, version)
        return version

    def require_kept(self, model: str, digest: str) -> None:
        """Refuse a version that the bucket's lifecycle would delete, whether published yet or not.

        Raises:
            FailedError: A rule would delete it, or the rules can't be read.
        """
        require_kept(self._client, f"s3://{self._bucket}/{version_prefix(self._tenant, model, digest)}")

    def find_version(self, model: str, digest: str) -> str:
        """Return the digest of the published version that `digest` begins or is.

        Raises:
            UsageError: None is, or several are.
        """
        if not re.fullmatch(rf"[0-9a-f]{{{SHORT_DIGEST},64}}", digest):
            raise UsageError(
                f"{digest!r} is not a model digest.",
                why=f"It takes {SHORT_DIGEST} to 64 hexadecimal digits.",
            )
        matches = [each for each in self.list_versions(model) if each.startswith(digest)]
        if len(matches) != 1:
            several = ", ".join(each[:20] for each in matches)
            raise UsageError(
                f"Model {model!r} of {self._tenant} has {'several versions' if matches else 'no version'}"
                f" {digest[:SHORT_DIGEST]}{f': {several}' if matches else ''}.",
                fix=f"See `slipway model versions {model}`.",
            )
        return matches[0]

    def list_models(self) -> list[str]:
        """Names of the tenant's models."""
        return self._records.folders(tenant_prefix(self._tenant))

    def list_versions(self, model: str) -> list[str]:
        """Digests of the published versions, sorted; incomplete uploads are not among them."""
        digests = self._records.folders(model_prefix(self._tenant, model) + "versions/")
        return [digest for digest in digests if self._manifest(model, digest) is not None]

    # Aliases

    def read_alias(self, model: str, alias: str) -> AliasSnapshot | None:
        """The alias as it is now, or None if it was never moved."""
        key = alias_key(self._tenant, model, alias)
        stored = self._records.get(key, Alias)
        if stored is None:
            return None
        record, etag = stored
        if (record.tenant, record.model, record.alias) != (self._tenant, model, alias):
            raise FailedError(
                f"The record of {self._tenant}/{model}@{alias} was made for another alias.",
                why=f"It names {record.tenant}/{record.model}@{record.alias}.",
            )
        return AliasSnapshot(record, etag)

    def list_aliases(self, model: str) -> list[str]:
        """Names of the model's aliases."""
        names = listing(self._client, self._bucket, aliases_prefix(self._tenant, model))
        return sorted(name.removesuffix(".json") for name in names)

    def move_alias(
        self, model: str, alias: str, digest: str, *, expected: AliasSnapshot | None, history: int
    ) -> Alias:
        """Point the alias at a published version, if it still is what `expected` says.

        `history` is the number of the log entry that records why.

        Raises:
            ConflictError: It is not: another promotion moved it first.
            UsageError: There is no such version, or it was collected meanwhile.
            FailedError: The log entry is missing or names another version.
        """
        entry = self.read_history(model, history)
        if entry is None or entry.digest != digest:
            raise FailedError(f"Entry {history} of {model}'s log does not name {digest[:12]}.")
        # After the log was written, not before: if a collector hid the version before this line, we notice
        # it here; if it hides the version later, it reads the log after that and notices our entry.
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
            run_id=entry.run_id,
            by=self._by,
        )
        condition = {"IfMatch": expected.etag} if expected else ABSENT
        if self._records.put(alias_key(self._tenant, model, alias), record, condition):
            return record
        # The first attempt of a retried request may have succeeded: then the token is ours.
        current = self.read_alias(model, alias)
        if current is not None and current.record.token == record.token:
            return current.record
        raise ConflictError(
            f"{model}@{alias} moved meanwhile; this change was not made.",
            why=f"{current.record}." if current else "It was deleted.",
            fix="Look at what is served now, then promote again if it is still wanted.",
        )

    # History

    def append_history(self, model: str, event: str, digest: str, details: Details) -> HistoryEntry:
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
                by=self._by,
                details=details,
            )
            if self._records.put(history_key(self._tenant, model, number), entry, ABSENT):
                return entry
            existing = self.read_history(model, number)
            if existing is not None and existing.token == token:
                return existing
            number += 1

    def read_history(self, model: str, number: int) -> HistoryEntry | None:
        """One entry of the log, or None."""
        stored = self._records.get(history_key(self._tenant, model, number), HistoryEntry)
        if stored is None:
            return None
        entry, _ = stored
        if (entry.tenant, entry.model, entry.number) != (self._tenant, model, number):
            raise FailedError(
                f"Log entry {number} of {self._tenant}/{model} belongs to another log or number."
            )
        return entry

    def history(self, model: str, *, last: int | None = None) -> list[HistoryEntry]:
        """The log in order, or its last entries only."""
        numbers = self._numbers(model)
        wanted = numbers if last is None else numbers[max(0, len(numbers) - last) :]
        entries = in_parallel(lambda number: self.read_history(model, number), wanted)
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
        return ModelVersion(**dict(manifest), storage_uri=f"s3://{self._bucket}/{prefix}files")

    def _manifest(self, model: str, digest: str) -> Manifest | None:
        stored = self._records.get(manifest_key(self._tenant, model, digest), Manifest)
        if stored is None:
            return None
        manifest, _ = stored
        same = (manifest.tenant, manifest.model, manifest.digest) == (self._tenant, model, digest)
        if not same or digest_of(manifest.files) != digest:
            raise FailedError(f"The manifest of {self._tenant}/{model} {digest[:12]} is not of this version.")
        checked_paths(file.path for file in manifest.files)
        return manifest

    def _put_file(self, key: str, path: Path, file: File) -> None:
        checksum = encoded_sha256(file.sha256)
        with translated_errors(f"write {key}"), path.open("rb") as body:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ChecksumSHA256=checksum)
