"""Which of a stack's snapshots stay."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from storage.backup.retention import Known, Retention, verdicts

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def known(*ages: int, torn: tuple[int, ...] = ()) -> list[Known]:
    """Snapshots by their age in days; `torn` are those of them that are not complete."""
    made = [(NOW - timedelta(days=age), age not in torn) for age in ages]
    return [Known(f"{at:%Y%m%dT%H%M%S}000Z-{'0' * 16}", at, complete) for at, complete in made]


def kept(snapshots: list[Known], retention: Retention) -> list[int]:
    return [(NOW - v.snapshot.taken_at).days for v in verdicts(snapshots, retention, NOW) if v.reasons]


def test_the_newest_and_the_young_stay():
    snapshots = known(1, 50, 100, 20, 200)
    assert kept(snapshots, Retention(1, 0)) == [1]
    assert kept(snapshots, Retention(3, 0)) == [50, 20, 1]
    assert kept(snapshots, Retention(1, 50)) == [50, 20, 1]
    assert kept(snapshots, Retention(9, 0)) == [200, 100, 50, 20, 1]


def test_snapshots_that_lack_something_push_no_complete_one_out():
    assert kept(known(1, 2, 3, 4, torn=(1, 2)), Retention(2, 0)) == [4, 3, 2, 1]
    assert kept(known(1, 2, 3, 4, torn=(3,)), Retention(1, 0)) == [1]


def test_each_reason_is_said():
    [old, both, newest] = verdicts(known(1, 40, 90, torn=(1,)), Retention(1, 30), NOW)
    assert old.reasons == ()
    assert both.reasons == ("of the newest 1 that are complete",)
    assert newest.reasons == ("of the newest 1", "younger than 30 days")


@given(st.lists(st.integers(0, 400), unique=True, min_size=1), st.integers(-3, 5), st.data())
def test_the_newest_and_the_newest_complete_one_always_stay(ages, count, data):
    torn = tuple(data.draw(st.sets(st.sampled_from(ages))))
    left = kept(known(*ages, torn=torn), Retention(count, 0))
    assert min(ages) in left
    assert not set(ages) - set(torn) or min(set(ages) - set(torn)) in left
