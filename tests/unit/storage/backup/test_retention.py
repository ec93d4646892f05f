"""Which of a stack's snapshots are kept."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from storage.backup.retention import Retention, SnapshotInfo, decide

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def known(*ages: int, incomplete: tuple[int, ...] = ()) -> list[SnapshotInfo]:
    """Return snapshots by their age in days; those in `incomplete` are not complete."""
    made = [(NOW - timedelta(days=age), age not in incomplete) for age in ages]
    return [SnapshotInfo(f"{at:%Y%m%dT%H%M%S}000Z-{'0' * 16}", at, complete) for at, complete in made]


def kept(snapshots: list[SnapshotInfo], retention: Retention) -> list[int]:
    return [(NOW - v.snapshot.taken_at).days for v in decide(snapshots, retention, NOW) if v.reasons]


def test_the_newest_and_recent_snapshots_are_kept():
    snapshots = known(1, 50, 100, 20, 200)
    assert kept(snapshots, Retention(1, 0)) == [1]
    assert kept(snapshots, Retention(3, 0)) == [50, 20, 1]
    assert kept(snapshots, Retention(1, 50)) == [50, 20, 1]
    assert kept(snapshots, Retention(9, 0)) == [200, 100, 50, 20, 1]


def test_incomplete_snapshots_do_not_displace_complete_ones():
    assert kept(known(1, 2, 3, 4, incomplete=(1, 2)), Retention(2, 0)) == [4, 3, 2, 1]
    assert kept(known(1, 2, 3, 4, incomplete=(3,)), Retention(1, 0)) == [1]


def test_each_reason_is_given():
    [old, both, newest] = decide(known(1, 40, 90, incomplete=(1,)), Retention(1, 30), NOW)
    assert old.reasons == ()
    assert both.reasons == ("one of the newest 1 complete ones",)
    assert newest.reasons == ("one of the newest 1", "newer than 30 days")


@given(st.lists(st.integers(0, 400), unique=True, min_size=1), st.integers(-3, 5), st.data())
def test_the_newest_and_newest_complete_one_are_always_kept(ages, count, data):
    incomplete = tuple(data.draw(st.sets(st.sampled_from(ages))))
    left = kept(known(*ages, incomplete=incomplete), Retention(count, 0))
    assert min(ages) in left
    assert not set(ages) - set(incomplete) or min(set(ages) - set(incomplete)) in left
