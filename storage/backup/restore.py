"""Restores one tenant's models from a snapshot: versions, then the log, then aliases.

This is the order of promotion, so an interrupted restore leaves a consistent state, and a rerun continues
from there. Nothing in the store is overwritten: versions are addressed by their content, log entries are
written under free numbers, and an alias moves by compare-and-set. An alias that points to another version,
or a log that diverged, is rejected before anything is written; with `replace` the store's log is kept, an
entry `restored` is appended, and the alias moves to it.

A version of the snapshot that is not completely readable is not restored, nor is an alias of it.
"""

from functools import partial
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import ClientError

from slipway.core.errors import SlipwayError, UsageError
from slipway.core.parallel import in_parallel
from slipway.core.report import Report, silent
from storage.backup.check import manifest_of
from storage.backup.index import Index, ModelObject
from storage.backup.place import BackupPlace
from storage.backup.plan import RestorePlan, plan_of
from storage.backup.pool import is_store_failure, spooled
from storage.client import is_precondition, translated_errors
from storage.registry.records import Entry
from storage.registry.registry import ConflictError, Registry

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RestoreOutcome = Literal["restored", "unchanged", "replaced", "refused"]


class Restored(Entry):
    """The outcome for an alias, or for a version that could not be restored."""

    tenant: str
    model: str
    alias: str | None
    """None for a version."""

    digest: str
    outcome: RestoreOutcome
    verified: bool = False
    """Whether the complete version was read back from the stack's store and matches its digest."""

    why: str = ""


class TenantRestore:
    """Restores the models of one tenant, with its promoter's key."""

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        tenant: str,
        place: BackupPlace,
        index: Index,
        snapshot: str,
        *,
        replace: bool = False,
        report: Report = silent,
    ) -> None:
        """Create a restore without reading or writing yet.

        Args:
            client: Client with a key that may write the tenant's models.
            bucket: Bucket of the models.
            tenant: Name of the tenant.
            place: Location of the backup.
            index: Index of the snapshot.
            snapshot: Id of the snapshot.
            replace: Whether to move aliases that differ.
            report: Receives progress.
        """
        self._client = client
        self._bucket = bucket
        self._tenant = tenant
        self._place = place
        self._index = index
        self._snapshot = snapshot
        self._replace = replace
        self._report = report
        self._registry = Registry(client, bucket, tenant)
        self._plans: list[RestorePlan] | None = None

    def conflicts(self) -> list[str]:
        """Compare snapshot and store; return what would have to be replaced. Writes nothing."""
        self._plans = [
            plan_of(self._place, self._registry, model, copy)
            for model, copy in self._index.models(self._tenant).items()
        ]
        conflicts = []
        for plan in self._plans:
            name = f"{self._tenant}/{plan.model}"
            for alias, current in plan.differing.items():
                there, copied = current.record.digest[:12], plan.aliases[alias].digest[:12]
                conflicts.append(f"{name}@{alias} points to {there}, in the backup to {copied}")
            if plan.diverged_at and any(current is None for current in plan.current.values()):
                conflicts.append(f"entry {plan.diverged_at} of the log of {name} differs from the backup")
        return conflicts

    def run(self) -> list[Restored]:
        """Restore the models.

        Raises:
            UsageError: The store differs from the backup and `replace` is off.
            FailedError: A store failed; a rerun continues from there.
        """
        conflicts = self.conflicts()
        if conflicts and not self._replace:
            raise conflict_error(conflicts)
        assert self._plans is not None
        return [each for plan in self._plans for each in self._restore(plan)]

    def _restore(self, plan: RestorePlan) -> list[Restored]:
        outcomes = [self._refused(plan.model, alias, "", why) for alias, why in plan.unreadable.items()]
        digests = sorted(plan.copy.manifests)
        name = f"{self._tenant}/{plan.model}"
        self._report(f"{name}: {len(digests)} versions, {len(plan.entries)} log entries")
        failed: dict[str, str] = {}
        for digest, why in zip(digests, in_parallel(partial(self._version, plan), digests), strict=True):
            if why:
                failed[digest] = why
                outcomes.append(self._refused(plan.model, None, digest, why))
        if not plan.diverged_at:
            for number in sorted(set(plan.entries) - plan.present):
                self._entry(plan, number)
        for alias in plan.aliases:
            outcomes.append(self._alias(plan, alias, failed))
            self._report(f"{name}@{alias}: {outcomes[-1].outcome}")
        return outcomes

    def _version(self, plan: RestorePlan, digest: str) -> str:
        """Write a version into the store, unless it is intact there; return why that failed, or ""."""
        try:
            manifest = manifest_of(self._place, plan.copy, digest)
            if self._is_intact(plan.model, digest):
                return ""
            in_parallel(self._file, plan.copy.files[digest].values())
            self._put(plan.copy.manifests[digest], manifest)
            self._registry.verify(plan.model, digest)
        except SlipwayError as error:
            if is_store_failure(error):
                raise
            return str(error)
        return ""

    def _is_intact(self, model: str, digest: str) -> bool:
        """Whether the store has the complete version."""
        try:
            self._registry.verify(model, digest)
        except SlipwayError as error:
            if is_store_failure(error):
                raise
            return False
        return True

    def _file(self, stored: ModelObject) -> None:
        """Copy a version's file; its key contains the digest, so no intact file is overwritten."""
        with spooled() as body:
            self._place.fetch(stored, body)
            body.seek(0)
            with translated_errors(f"write {stored.full_key}"):
                self._client.put_object(
                    Bucket=self._bucket, Key=stored.full_key, Body=body, ChecksumSHA256=stored.checksum
                )

    def _put(self, stored: ModelObject, content: bytes) -> bool:
        """Write a record unless it exists; return whether it was written."""
        with translated_errors(f"write {stored.full_key}"):
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=stored.full_key,
                    Body=content,
                    ContentType="application/json",
                    ChecksumSHA256=stored.checksum,
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if is_precondition(error):
                    return False
                raise
        return True

    def _entry(self, plan: RestorePlan, number: int) -> None:
        stored = plan.copy.history[number]
        if self._put(stored, self._place.read(stored)):
            return
        current = self._registry.read_history(plan.model, number)
        if current is None or current.token != plan.entries[number].token:
            raise ConflictError(
                f"The log of {plan.model} was extended meanwhile; its aliases were not restored.",
                fix="Run the command again, and check the conflicts that it reports.",
            )

    def _alias(self, plan: RestorePlan, alias: str, failed: dict[str, str]) -> Restored:
        record, current = plan.aliases[alias], plan.current[alias]
        if record.digest not in plan.copy.manifests:
            return self._refused(plan.model, alias, record.digest, "Its version is not in the snapshot.")
        if record.digest in failed:
            return self._refused(plan.model, alias, record.digest, failed[record.digest])
        if record.history not in plan.entries:
            return self._refused(plan.model, alias, record.digest, "Its log entry can't be read back.")
        outcome: RestoreOutcome = "restored"
        if current is not None and current.record.digest == record.digest:
            outcome = "unchanged"
        elif current is not None or plan.diverged_at:
            outcome = "replaced"
            self._move(plan, alias)
        elif not self._put(plan.copy.aliases[alias], self._place.read(plan.copy.aliases[alias])):
            raise ConflictError(
                f"{plan.model}@{alias} was moved meanwhile; it was not restored.",
                fix="Check which version is served now, then run the command again if necessary.",
            )
        # The version was verified above. It may have been collected before the log and the alias
        # referred to it, and the alias may have moved since.
        self._registry.show(plan.model, record.digest)
        now = self._registry.read_alias(plan.model, alias)
        verified = now is not None and now.record.digest == record.digest
        return Restored(
            tenant=self._tenant,
            model=plan.model,
            alias=alias,
            digest=record.digest,
            outcome=outcome if verified else "refused",
            verified=verified,
            why="" if verified else "It was moved meanwhile.",
        )

    def _move(self, plan: RestorePlan, alias: str) -> None:
        """Append an entry with the details of the snapshot's entry to the log, and move the alias."""
        record, current = plan.aliases[alias], plan.current[alias]
        details = plan.entries[record.history].details.model_copy(
            update={"snapshot": self._snapshot, "previous": current.record.digest if current else None}
        )
        entry = self._registry.append_history(plan.model, "restored", record.digest, details)
        self._registry.move_alias(plan.model, alias, record.digest, expected=current, history=entry.number)

    def _refused(self, model: str, alias: str | None, digest: str, why: str) -> Restored:
        return Restored(
            tenant=self._tenant, model=model, alias=alias, digest=digest, outcome="refused", why=why
        )


def conflict_error(conflicts: list[str]) -> UsageError:
    """Return the error for a store that differs from the backup."""
    return UsageError(
        "The stack differs from the backup; nothing was changed.",
        why="; ".join(conflicts) + ".",
        fix="Add --replace to move these aliases to the backup's versions; the log keeps the old entries.",
    )
