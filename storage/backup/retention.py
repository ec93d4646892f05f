"""Decides which of a stack's snapshots are kept. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Retention:
    """Rules for keeping a stack's snapshots."""

    newest: int = 10
    """Number of newest snapshots, and of newest complete snapshots, to keep; at least one."""

    days: int = 30
    """Age up to which every snapshot is kept."""

    grace_days: int = 7
    """Age up to which even an unused blob is kept: a running backup may need it."""


@dataclass(frozen=True)
class SnapshotInfo:
    """The facts about a snapshot that the decision depends on."""

    id: str
    taken_at: datetime
    complete: bool


@dataclass(frozen=True)
class RetentionDecision:
    """Whether a snapshot is kept, and why."""

    snapshot: SnapshotInfo
    reasons: tuple[str, ...]
    """Why it is kept; empty if it is to be removed."""


def decide(
    snapshots: Sequence[SnapshotInfo], retention: Retention, now: datetime
) -> tuple[RetentionDecision, ...]:
    """Decide about each snapshot of a stack, oldest first."""
    ordered = sorted(snapshots, key=lambda each: each.id)
    count = max(1, retention.newest)
    newest = {each.id for each in ordered[-count:]}
    complete = {each.id for each in [each for each in ordered if each.complete][-count:]}
    since = now - timedelta(days=retention.days)
    decisions = []
    for each in ordered:
        reasons = [f"one of the newest {count}"] if each.id in newest else []
        if each.id in complete - newest:
            reasons.append(f"one of the newest {count} complete ones")
        if each.taken_at >= since:
            reasons.append(f"newer than {retention.days} days")
        decisions.append(RetentionDecision(each, tuple(reasons)))
    return tuple(decisions)
