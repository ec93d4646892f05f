"""Forgetting a stack's old snapshots, and removing the blobs that no snapshot of any stack needs any more.

An index goes before its blobs, so no snapshot is ever there without its bytes. A prune that is cut off
leaves blobs that the next prune removes. How a backup that runs meanwhile stays whole:
`storage.backup.pending_deletions`.
An index that can't be read closes the gate: nobody knows which blobs it needs.
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
from storage.backup.place import BackupPlace, keeping
from storage.backup.retention import Known, Retention, RetentionVerdict, verdicts

DEADLINE: Final = 1800.0
"""Seconds that a prune removes blobs for: less than its note counts for."""

_BATCH: Final = 500


@dataclass(frozen=True)
class Plan:
    """What a prune removes, as far as was known when it was made."""

    stack: str
    verdicts: tuple[RetentionVerdict, ...]
    blobs: dict[str, int]
    """Sizes of the blobs that go, by digest."""

    read: frozenset[tuple[str, str]]
    """Stack and id of every snapshot that was read for it."""

    @property
    def going(self) -> list[str]:
        """Ids of the snapshots that go, oldest first."""
        return [each.snapshot.id for each in self.verdicts if not each.reasons]


def plan(
    place: BackupPlace, stack: str, retention: Retention, key: SecretStr | None, now: datetime | None = None
) -> Plan:
    """Decide what goes, and change nothing.

    Args:
        place: where the backups are.
        stack: whose snapshots may go; those of others only keep their blobs.
        retention: which stay.
        key: that the stack's snapshots must be signed with, so that forged ones can't push others out;
            None takes them as they are.
        now: the time; that of this machine by default.

    Raises:
        FailedError: An index can't be read or is not signed, or the store failed.
    """
    now = now or datetime.now(UTC)
    # Blobs before indexes: one whose index is written meanwhile is then known to be needed.
    aged = _aged(place, now - timedelta(days=retention.grace_days))
    found = place.snapshots()
    known, needs = [], {}
    for owner, identity in found:
        index = _index(place, owner, identity, key if owner == stack else None)
        if index is None:
            continue
        needs[owner, identity] = frozenset(index.blobs())
        if owner == stack:
            known.append(Known(identity, index.taken_at, index.complete))
    decided = verdicts(known, retention, now)
    going = {(stack, each.snapshot.id) for each in decided if not each.reasons}
    kept = frozenset().union(*(blobs for each, blobs in needs.items() if each not in going))
    blobs = {sha256: size for sha256, size in aged.items() if sha256 not in kept}
    return Plan(stack, decided, blobs, frozenset(found))


def carry_out(place: BackupPlace, planned: Plan, report: Report = silent) -> dict[str, int]:
    """Remove what was planned, but for what somebody needs by now; return the blobs that went, by size.

    Raises:
        FailedError: Another prune is under way, or the store failed; running it again goes on.
    """
    if not planned.going and not planned.blobs:
        return {}
    begun = time.monotonic()
    pending_deletions.require_none(place)
    note = pending_deletions.name(place, planned.blobs)
    try:
        # Two that began at the same moment both see the other, and both give way.
        pending_deletions.require_none(place, own=note)
        blobs = dict(planned.blobs)
        for owner, identity in set(place.snapshots()) - planned.read:
            index = _index(place, owner, identity, None)
            for sha256 in index.blobs() if index else ():
                if blobs.pop(sha256, None) is not None:
                    report(f"blob {sha256[:12]} stays: snapshot {identity} needs it by now")
        for identity in planned.going:
            report(f"forgetting snapshot {identity}")
            place.forget(planned.stack, identity)
        listed = sorted(blobs)
        for start in range(0, len(listed), _BATCH):
            if time.monotonic() - begun > DEADLINE:
                raise FailedError("The prune took too long and stopped.", fix="Run it again: it goes on.")
            report(f"removing blobs: {start} of {len(listed)}")
            _remove(place, listed[start : start + _BATCH])
    finally:
        pending_deletions.unname(place, note)
    return blobs


def _aged(place: BackupPlace, until: datetime) -> dict[str, int]:
    """Sizes of the blobs that were written before, by digest."""
    root = f"{place.prefix}blobs/sha256/"
    found: dict[str, int] = {}
    with keeping("list the blobs"):
        for page in place.client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=root):
            for entry in page.get("Contents", ()):
                if entry["LastModified"] < until:
                    found[entry["Key"].removeprefix(root)] = entry["Size"]
    return found


def _index(place: BackupPlace, stack: str, identity: str, key: SecretStr | None) -> Index | None:
    """Read an index; None where it is gone since it was listed, so that it needs nothing any more."""
    try:
        return place.index(stack, identity, key)
    except StoreError:
        raise
    except FailedError as error:
        raise FailedError(
            f"Nothing was pruned: snapshot {identity} of stack {stack} can't be counted.",
            why=f"{error.what} {error.why}".strip(),
            fix="If it is not wanted, remove its folder among the snapshots; "
            "if it is yours and only not signed, add --unsigned.",
        ) from error
    except UsageError:
        if (stack, identity) in place.snapshots(stack):
            raise
        return None


def _remove(place: BackupPlace, blobs: Sequence[str]) -> None:
    keys = [{"Key": f"{place.prefix}blobs/sha256/{sha256}"} for sha256 in blobs]
    with keeping("remove blobs"):
        answer = place.client.delete_objects(
            Bucket=place.bucket,
            Delete={"Objects": keys, "Quiet": True},  # type: ignore[typeddict-item]
        )
    if failed := answer.get("Errors"):
        raise FailedError(
            f"{len(failed)} blobs were not removed from the backups' store.",
            why=f"{failed[0].get('Code', '')}: {failed[0].get('Message', '')}",
            fix="Check that the key may delete, then run the command again.",
        )
