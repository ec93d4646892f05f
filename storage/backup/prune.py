"""Removes a stack's old snapshots, and the blobs that no snapshot of any stack needs any more.

An index is removed before its blobs, so a snapshot's blobs are never missing. The next prune removes blobs
that an interrupted one leaves. `storage.backup.pending_deletions` protects a backup that runs meanwhile.
An unreadable index prevents pruning, because the blobs that it needs are unknown.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import SecretStr

from slipway.core.errors import FailedError, StoreError, UsageError
from slipway.core.report import Report, silent
from storage.backup import pending_deletions
from storage.backup.index import Index
from storage.backup.place import BackupPlace, translated_backup_errors
from storage.backup.retention import Retention, RetentionDecision, SnapshotInfo, decide

DEADLINE: Final = 1800.0
"""Maximum seconds for removing blobs: less than the validity of the announcement."""

_BATCH: Final = 500


@dataclass(frozen=True)
class PrunePlan:
    """What a prune is going to remove, as of its planning."""

    stack: str
    decisions: tuple[RetentionDecision, ...]
    blobs: dict[str, int]
    """Sizes of the blobs to remove, by digest."""

    read: frozenset[tuple[str, str]]
    """Stack and id of every snapshot that the plan took into account."""

    @property
    def to_remove(self) -> list[str]:
        """Ids of the snapshots to remove, oldest first."""
        return [each.snapshot.id for each in self.decisions if not each.reasons]


def plan(
    place: BackupPlace, stack: str, retention: Retention, key: SecretStr | None, now: datetime | None = None
) -> PrunePlan:
    """Plan a prune without changing anything.

    Args:
        place: Location of the backups.
        stack: Stack whose snapshots may be removed; blobs of other stacks' snapshots are kept.
        retention: Which snapshots to keep.
        key: Key that must have signed the stack's snapshots, so that forged ones can't displace others;
            None accepts unsigned snapshots.
        now: Current time; this machine's by default.

    Raises:
        FailedError: An index can't be read or is not signed, or the store failed.
    """
    now = now or datetime.now(UTC)
    # Blobs before indexes: an index that is written meanwhile is then taken into account.
    aged = _aged(place, now - timedelta(days=retention.grace_days))
    snapshots = place.snapshots()
    candidates, needs = [], {}
    for owner, identity in snapshots:
        index = _index(place, owner, identity, key if owner == stack else None)
        if index is None:
            continue
        needs[owner, identity] = frozenset(index.blobs())
        if owner == stack:
            candidates.append(SnapshotInfo(identity, index.taken_at, index.complete))
    decisions = decide(candidates, retention, now)
    removed = {(stack, each.snapshot.id) for each in decisions if not each.reasons}
    kept = frozenset().union(*(blobs for each, blobs in needs.items() if each not in removed))
    blobs = {sha256: size for sha256, size in aged.items() if sha256 not in kept}
    return PrunePlan(stack, decisions, blobs, frozenset(snapshots))


def carry_out(place: BackupPlace, planned: PrunePlan, report: Report = silent) -> dict[str, int]:
    """Remove what was planned, except blobs that are needed by now; return the removed blobs' sizes.

    Raises:
        FailedError: Another prune is running, or the store failed; a rerun continues.
    """
    if not planned.to_remove and not planned.blobs:
        return {}
    start_time = time.monotonic()
    pending_deletions.require_no_prune(place)
    announcement = pending_deletions.announce(place, planned.blobs)
    try:
        # Two prunes that start at the same moment see each other, and both stop.
        pending_deletions.require_no_prune(place, own=announcement)
        blobs = dict(planned.blobs)
        for owner, identity in set(place.snapshots()) - planned.read:
            index = _index(place, owner, identity, None)
            for sha256 in index.blobs() if index else ():
                if blobs.pop(sha256, None) is not None:
                    report(f"blob {sha256[:12]} is kept: snapshot {identity} needs it now")
        for identity in planned.to_remove:
            report(f"removing snapshot {identity}")
            place.forget(planned.stack, identity)
        listed = sorted(blobs)
        for start in range(0, len(listed), _BATCH):
            if time.monotonic() - start_time > DEADLINE:
                raise FailedError("The prune timed out.", fix="Run it again: it continues.")
            report(f"removing blobs: {start} of {len(listed)}")
            _remove(place, listed[start : start + _BATCH])
    finally:
        pending_deletions.withdraw(place, announcement)
    return blobs


def _aged(place: BackupPlace, until: datetime) -> dict[str, int]:
    """Return the sizes of the blobs that were written before `until`, by digest."""
    root = f"{place.prefix}blobs/sha256/"
    sizes: dict[str, int] = {}
    with translated_backup_errors("list the blobs"):
        for page in place.client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=root):
            for entry in page.get("Contents", ()):
                if entry["LastModified"] < until:
                    sizes[entry["Key"].removeprefix(root)] = entry["Size"]
    return sizes


def _index(place: BackupPlace, stack: str, identity: str, key: SecretStr | None) -> Index | None:
    """Read an index; None if it was removed since it was listed."""
    try:
        return place.index(stack, identity, key)
    except StoreError:
        raise
    except FailedError as error:
        raise FailedError(
            f"Nothing was pruned: snapshot {identity} of stack {stack} can't be read.",
            why=f"{error.what} {error.why}".strip(),
            fix="If it is not needed, remove its folder under snapshots/; "
            "if it is yours and only not signed, add --unsigned.",
        ) from error
    except UsageError:
        if (stack, identity) in place.snapshots(stack):
            raise
        return None


def _remove(place: BackupPlace, blobs: Sequence[str]) -> None:
    keys = [{"Key": f"{place.prefix}blobs/sha256/{sha256}"} for sha256 in blobs]
    with translated_backup_errors("remove blobs"):
        answer = place.client.delete_objects(
            Bucket=place.bucket,
            Delete={"Objects": keys, "Quiet": True},  # type: ignore[typeddict-item]
        )
    if failed := answer.get("Errors"):
        raise FailedError(
            f"{len(failed)} blobs were not removed from the backup store.",
            why=f"{failed[0].get('Code', '')}: {failed[0].get('Message', '')}",
            fix="Check that the key may delete objects, then run the command again.",
        )
