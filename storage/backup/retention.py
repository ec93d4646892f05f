"""Which of a stack's snapshots stay. Pure: what is known of them in, a verdict with reasons out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Retention:
    """Which of a stack's snapshots stay."""

    newest: int = 10
    """So many of the newest, and so many of the newest complete ones; at least one."""

    days: int = 30
    """Age up to which every snapshot stays."""

    grace_days: int = 7
    """Age of a blob up to which it stays, needed or not: a backup may be sending it."""


@dataclass(frozen=True)
class Known:
    """What decides about a snapshot."""

    id: str
    taken_at: datetime
    complete: bool


@dataclass(frozen=True)
class RetentionVerdict:
    """What is to become of a snapshot, and why."""

    snapshot: Known
    reasons: tuple[str, ...]
    """Why it stays; empty where it goes."""


def verdicts(snapshots: Sequence[Known], retention: Retention, now: datetime) -> tuple[RetentionVerdict, ...]:
    """Decide about each snapshot of a stack, oldest first."""
    ordered = sorted(snapshots, key=lambda each: each.id)
    count = max(1, retention.newest)
    newest = {each.id for each in ordered[-count:]}
    complete = {each.id for each in [each for each in ordered if each.complete][-count:]}
    since = now - timedelta(days=retention.days)
    found = []
    for each in ordered:
        reasons = [f"of the newest {count}"] if each.id in newest else []
        if each.id in complete - newest:
            reasons.append(f"of the newest {count} that are complete")
        if each.taken_at >= since:
            reasons.append(f"younger than {retention.days} days")
        found.append(RetentionVerdict(each, tuple(reasons)))
    return tuple(found)
