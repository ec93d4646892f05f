"""Putting one tenant's models back from a snapshot: versions, then the log, then aliases.

The order is promotion's own, so whatever a restore that is cut off leaves is sound, and running it again
goes on from there. Nothing that the store has is overwritten: versions are addressed by their content, log
entries are written under numbers that are free, and an alias moves by compare-and-set. An alias that names
another version, or a log that went another way, is refused before anything is written; with `replace` the
store's log is kept, an entry `restored` is added to it, and the alias moves with its number growing.

A version of the snapshot that can't be read back whole is not restored, nor an alias that names it.
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
from storage.backup.plan import Plan, plan_of
from storage.backup.pool import is_store_failure, spooled
from storage.client import is_precondition, translated_errors
from storage.registry.records import Entry
from storage.registry.registry import ConflictError, Registry

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Outcome = Literal["restored", "unchanged", "replaced", "refused"]


class Restored(Entry):
    """What became of an alias, or of a version that could not be restored."""

    tenant: str
    model: str
    alias: str | None
    """None for a version."""

    digest: str
    outcome: Outcome
    verified: bool = False
    """Whether every byte of the version was read back from the stack's store and has its digest."""

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
        """Read and write nothing yet.

        Args:
            client: opened with a key that may write the tenant's models.
            bucket: of the models.
            tenant: whose models.
            place: where the backup is.
            index: of the snapshot.
            snapshot: its id.
            replace: whether aliases that differ are moved.
            report: takes progress.
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
        self._plans: list[Plan] | None = None

    def conflicts(self) -> list[str]:
        """Compare snapshot and store, and say what of the store would have to give way. Writes nothing."""
        self._plans = [
            plan_of(self._place, self._registry, model, copy)
            for model, copy in self._index.models(self._tenant).items()
        ]
        found = []
        for plan in self._plans:
            name = f"{self._tenant}/{plan.model}"
            for alias, held in plan.differing.items():
                there, ours = held.record.digest[:12], plan.aliases[alias].digest[:12]
                found.append(f"{name}@{alias} names {there}, in the backup {ours}")
            if plan.parted and any(held is None for held in plan.held.values()):
                found.append(f"entry {plan.parted} of the log of {name} is another than in the backup")
        return found

    def run(self) -> list[Restored]:
        """Restore; raises UsageError where something would have to give way and may not.

        Raises:
            FailedError: A store failed on the way; running it again goes on from there.
        """
        conflicts = self.conflicts()
        if conflicts and not self._replace:
            raise refusal(conflicts)
        assert self._plans is not None
        return [each for plan in self._plans for each in self._restore(plan)]

    def _restore(self, plan: Plan) -> list[Restored]:
        outcomes = [self._refused(plan.model, alias, "", why) for alias, why in plan.unreadable.items()]
        digests = sorted(plan.copy.manifests)
        name = f"{self._tenant}/{plan.model}"
        self._report(f"{name}: {len(digests)} versions, {len(plan.entries)} log entries")
        bad: dict[str, str] = {}
        for digest, why in zip(digests, in_parallel(partial(self._version, plan), digests), strict=True):
            if why:
                bad[digest] = why
                outcomes.append(self._refused(plan.model, None, digest, why))
        if not plan.parted:
            for number in sorted(set(plan.entries) - plan.there):
                self._entry(plan, number)
        for alias in plan.aliases:
            outcomes.append(self._alias(plan, alias, bad))
            self._report(f"{name}@{alias}: {outcomes[-1].outcome}")
        return outcomes

    def _version(self, plan: Plan, digest: str) -> str:
        """Put a version into the store, unless it is there whole; say why where that can't be."""
        try:
            manifest = manifest_of(self._place, plan.copy, digest)
            if self._is_sound(plan.model, digest):
                return ""
            in_parallel(self._file, plan.copy.files[digest].values())
            self._put(plan.copy.manifests[digest], manifest)
            self._registry.verify(plan.model, digest)
        except SlipwayError as error:
            if is_store_failure(error):
                raise
            return str(error)
        return ""

    def _is_sound(self, model: str, digest: str) -> bool:
        """Whether the store has the version, whole."""
        try:
            self._registry.verify(model, digest)
        except SlipwayError as error:
            if is_store_failure(error):
                raise
            return False
        return True

    def _file(self, held: ModelObject) -> None:
        """Copy a version's file; its key holds the digest of what it must be, so nothing sound is lost."""
        with spooled() as body:
            self._place.fetch(held, body)
            body.seek(0)
            with translated_errors(f"write {held.full_key}"):
                self._client.put_object(
                    Bucket=self._bucket, Key=held.full_key, Body=body, ChecksumSHA256=held.checksum
                )

    def _put(self, held: ModelObject, content: bytes) -> bool:
        """Write a record where none is; False where one is."""
        with translated_errors(f"write {held.full_key}"):
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=held.full_key,
                    Body=content,
                    ContentType="application/json",
                    ChecksumSHA256=held.checksum,
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if is_precondition(error):
                    return False
                raise
        return True

    def _entry(self, plan: Plan, number: int) -> None:
        held = plan.copy.history[number]
        if self._put(held, self._place.read(held)):
            return
        there = self._registry.read_history(plan.model, number)
        if there is None or there.token != plan.entries[number].token:
            raise ConflictError(
                f"The log of {plan.model} went on meanwhile; its aliases were not restored.",
                fix="Run the command again, and look at what it says is in the way.",
            )

    def _alias(self, plan: Plan, alias: str, bad: dict[str, str]) -> Restored:
        record, held = plan.aliases[alias], plan.held[alias]
        if record.digest not in plan.copy.manifests:
            return self._refused(plan.model, alias, record.digest, "Its version is not in the snapshot.")
        if record.digest in bad:
            return self._refused(plan.model, alias, record.digest, bad[record.digest])
        if record.history not in plan.entries:
            return self._refused(plan.model, alias, record.digest, "Its log entry can't be read back.")
        outcome: Outcome = "restored"
        if held is not None and held.record.digest == record.digest:
            outcome = "unchanged"
        elif held is not None or plan.parted:
            outcome = "replaced"
            self._move(plan, alias)
        elif not self._put(plan.copy.aliases[alias], self._place.read(plan.copy.aliases[alias])):
            raise ConflictError(
                f"{plan.model}@{alias} was moved meanwhile; it was not restored.",
                fix="Look at what is served now, then run the command again if it is still wanted.",
            )
        # Its bytes were read back when it was written or found. It may have been collected before the log
        # and the alias named it, and the alias may have moved on.
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

    def _move(self, plan: Plan, alias: str) -> None:
        """Add what the snapshot's entry says to the store's log, and move the alias there."""
        record, held = plan.aliases[alias], plan.held[alias]
        details = {
            **plan.entries[record.history].details,
            "snapshot": self._snapshot,
            "previous": held.record.digest if held else None,
        }
        entry = self._registry.append_history(plan.model, "restored", record.digest, details)
        self._registry.move_alias(plan.model, alias, record.digest, expected=held, history=entry.number)

    def _refused(self, model: str, alias: str | None, digest: str, why: str) -> Restored:
        return Restored(
            tenant=self._tenant, model=model, alias=alias, digest=digest, outcome="refused", why=why
        )


def refusal(conflicts: list[str]) -> UsageError:
    """What is said where the store has something else than the backup."""
    return UsageError(
        "The stack has something else than the backup; nothing was changed.",
        why="; ".join(conflicts) + ".",
        fix="Add --replace to move these aliases to the backup's versions; the log keeps what was there.",
    )
