"""Garbage collection: deletes versions that nothing needs, and what incomplete uploads left, for good.

A promotion may be using a version that is being collected. There are no locks; two rules let at least
one of the two notice the other:

    promotion:  write the log entry, then read the manifest, then move the alias
    collector:  hide the manifest (a delete marker), then read aliases, log and endpoints again

If promotion read the manifest before it was hidden, its log entry was there before the collector
read the log: the collector deletes its marker and keeps the version. Otherwise promotion finds no
manifest, moves no alias and fails. Objects are deleted by version id, from a listing made before the
manifest was hidden: files that a promotion publishes again meanwhile have other ids and stay. So this
needs a bucket that keeps versions.

A collector that is killed leaves a hidden manifest. The next collection continues with it, or deletes
the marker if the version is needed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from slipway.core.errors import FailedError
from slipway.core.report import Report, silent
from storage.client import translated_errors
from storage.layout import MANIFEST, model_prefix, tenant_prefix
from storage.registry.registry import Registry
from storage.registry.stored_versions import Stored, stored_versions
from storage.registry.version_uses import Facts, Window, announced, reasons

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Served = Callable[[], Mapping[str, Mapping[str, str]]]
"""Returns what the cluster serves: by model, the digest by InferenceService. Raises if it can't find out."""

COLLECT: Final = "collect"
RESTORE: Final = "restore"
KEEP: Final = "keep"
ABANDONED: Final = timedelta(minutes=15)
"""After this time no collector is still working on a manifest that it hid."""


@dataclass(frozen=True)
class CollectionVerdict:
    """What is to be done with one version, and why."""

    stored: Stored
    action: str
    """`collect`, `keep`, or `restore`: a needed version whose manifest is hidden."""

    reasons: tuple[str, ...]
    facts: Facts
    """The facts that this decision is based on."""


@dataclass(frozen=True)
class CollectionOutcome:
    """What was done with one version."""

    model: str
    digest: str
    action: str
    reasons: tuple[str, ...]
    files: int
    size: int
    """Bytes, old versions of the files included."""

    @property
    def collected(self) -> bool:
        """Whether it was deleted, or would be."""
        return self.action == COLLECT


class Collector:
    """Collects the garbage of one tenant's models. Nothing is deleted if `served` raises."""

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        tenant: str,
        served: Served,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._tenant = tenant
        self._served = served
        self._now = now
        self._registry = Registry(client, bucket, tenant)

    def plan(self, window: Window, model: str | None = None) -> list[CollectionVerdict]:
        """Decide about every stored version, and change nothing.

        Raises:
            FailedError: The bucket keeps no versions, or a fact can't be read.
        """
        self._require_versioning()
        served = self._served()
        versions = stored_versions(self._client, self._bucket, tenant_prefix(self._tenant))
        chosen = [stored for stored in versions if model in (None, stored.model)]
        facts = {name: self._facts(name, served) for name in {stored.model for stored in chosen}}
        return [self._verdict(stored, facts[stored.model], window) for stored in chosen]

    def plan_deletion(self, model: str) -> list[CollectionVerdict]:
        """Decide to delete every stored version of a model, whatever its age and the log; changes nothing.

        Raises:
            FailedError: The bucket keeps no versions, or a fact can't be read.
        """
        self._require_versioning()
        facts = self._facts(model, self._served())
        versions = stored_versions(self._client, self._bucket, model_prefix(self._tenant, model))
        return [CollectionVerdict(stored, COLLECT, ("the model is deleted",), facts) for stored in versions]

    def carry_out(
        self, verdicts: Iterable[CollectionVerdict], report: Report = silent
    ) -> list[CollectionOutcome]:
        """Do what was decided; each version is checked again before it is deleted."""
        return [self._carry_out(verdict, report) for verdict in verdicts]

    def _verdict(self, stored: Stored, facts: Facts, window: Window) -> CollectionVerdict:
        now = self._now()
        why = reasons(stored.digest, stored.written_at, facts, window, now)
        if not why:
            return CollectionVerdict(stored, COLLECT, () if stored.published else ("not published",), facts)
        if not stored.hidden or not reasons(stored.digest, None, facts, window, now):
            return CollectionVerdict(stored, KEEP, why, facts)
        if any(marker.written_at > now - ABANDONED for marker in stored.markers):
            return CollectionVerdict(stored, KEEP, (*why, "being collected by another"), facts)
        return CollectionVerdict(stored, RESTORE, why, facts)

    def _carry_out(self, verdict: CollectionVerdict, report: Report) -> CollectionOutcome:
        stored = verdict.stored
        name = f"{stored.model} {stored.digest[:12]}"
        if verdict.action == KEEP:
            return outcome(verdict, KEEP, verdict.reasons)
        if verdict.action == RESTORE:
            self._unhide(stored, (marker.version_id for marker in stored.markers))
            report(f"{name}: its manifest was hidden, and is back")
            return outcome(verdict, RESTORE, verdict.reasons)
        # A marker of our own, even if another collector has hidden it: that one may delete its marker.
        markers = (self._hide(stored),) if stored.published or stored.hidden else ()
        try:
            needed = announced(stored.digest, self._facts(stored.model, self._served()), verdict.facts)
        except BaseException:
            # Whether it is needed is unknown: restore the previous state.
            self._unhide(stored, markers)
            raise
        if needed:
            self._unhide(stored, markers)
            report(f"{name}: stays, as meanwhile it has {', '.join(needed)}")
            return outcome(verdict, KEEP, needed)
        report(f"{name}: removing {len(stored.objects)} objects")
        self._delete_for_good(stored, markers)
        return outcome(verdict, COLLECT, verdict.reasons)

    def _facts(self, model: str, served: Mapping[str, Mapping[str, str]]) -> Facts:
        aliases = {}
        for alias in self._registry.list_aliases(model):
            snapshot = self._registry.read_alias(model, alias)
            if snapshot is not None:
                aliases[alias] = snapshot.record.digest
        # Read the log after the aliases, because it is written before them.
        return Facts(aliases, self._registry.history(model), served.get(model, {}))

    def _hide(self, stored: Stored) -> str:
        with translated_errors(f"hide {stored.prefix}{MANIFEST}"):
            answer = self._client.delete_object(Bucket=self._bucket, Key=stored.prefix + MANIFEST)
        if not answer.get("DeleteMarker") or "VersionId" not in answer:
            raise FailedError(f"The store gave no delete marker for {stored.prefix}{MANIFEST}.")
        return answer["VersionId"]

    def _unhide(self, stored: Stored, markers: Iterable[str]) -> None:
        for marker in markers:
            self._delete(stored.prefix + MANIFEST, marker)

    def _delete_for_good(self, stored: Stored, markers: Iterable[str]) -> None:
        """Delete by id: the manifest first, so that it never exists without its files; its markers last."""
        for each in sorted(stored.objects, key=lambda each: (each.path != MANIFEST, each.path)):
            if not (each.path == MANIFEST and each.marker):
                self._delete(stored.prefix + each.path, each.version_id)
        self._unhide(stored, (*(marker.version_id for marker in stored.markers), *markers))

    def _delete(self, key: str, version_id: str) -> None:
        with translated_errors(f"delete an old version of {key}"):
            self._client.delete_object(Bucket=self._bucket, Key=key, VersionId=version_id)

    def _require_versioning(self) -> None:
        with translated_errors(f"read whether bucket {self._bucket} keeps versions"):
            status = self._client.get_bucket_versioning(Bucket=self._bucket).get("Status")
        if status != "Enabled":
            raise FailedError(
                f"Nothing is collected in bucket {self._bucket}: it keeps no versions.",
                why="Without them a promotion that runs meanwhile could lose its model.",
                fix="Run `slipway up`, which turns versioning on.",
            )


def outcome(verdict: CollectionVerdict, action: str, why: tuple[str, ...]) -> CollectionOutcome:
    """Return what was, or is to be, done with a version."""
    stored = verdict.stored
    return CollectionOutcome(stored.model, stored.digest, action, why, len(stored.objects), stored.size)
