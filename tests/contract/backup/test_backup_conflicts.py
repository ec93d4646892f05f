"""A restore over what is there already: nothing gives way in silence."""

import pytest
from support.backups import backed_up, contents, promoted, restored

from slipway.core.errors import FailedError, UsageError
from storage.registry.registry import Registry

pytestmark = pytest.mark.contract


def test_an_alias_that_differs_is_never_overwritten_in_silence(store, bucket, place, tmp_path):
    registry = Registry(store, bucket, "team-a")
    old = promoted(registry, tmp_path, b"old")
    taken = backed_up(store, bucket, place)
    new = promoted(registry, tmp_path, b"new")
    before = contents(store, bucket)
    with pytest.raises(UsageError, match=rf"iris@champion points to {new[:12]}, in the backup to {old[:12]}"):
        restored(store, bucket, place, taken)
    assert contents(store, bucket) == before, "nothing was changed"

    [outcome] = restored(store, bucket, place, taken, replace=True)
    assert (outcome.outcome, outcome.digest, outcome.verified) == ("replaced", old, True)
    held = registry.read_alias("iris", "champion")
    assert (held.record.digest, held.record.number, held.record.history) == (old, 3, 3)
    assert [entry.event for entry in registry.history("iris")] == ["promoted", "promoted", "restored"]
    entry = registry.read_history("iris", 3)
    assert entry.details.snapshot == taken.id
    assert entry.details.previous == new
    assert entry.details.manifest == {"kind": "x"}, "the endpoint is made from it"
    assert {key: value for key, value in before.items() if "/aliases/" not in key}.items() <= contents(
        store, bucket
    ).items(), "no version and no entry gave way"


def test_a_log_that_went_another_way_is_kept(store, bucket, elsewhere, place, tmp_path):
    old = promoted(Registry(store, bucket, "team-a"), tmp_path, b"old")
    taken = backed_up(store, bucket, place)
    there = Registry(store, elsewhere, "team-a")
    promoted(there, tmp_path, b"of the new stack", alias="other")
    with pytest.raises(UsageError, match="entry 1 of the log of team-a/iris differs"):
        restored(store, elsewhere, place, taken)
    [outcome] = restored(store, elsewhere, place, taken, replace=True)
    assert (outcome.outcome, outcome.digest) == ("replaced", old)
    assert [entry.event for entry in there.history("iris")] == ["promoted", "restored"]
    assert there.verify("iris", there.read_alias("iris", "champion").record.digest)


def test_an_alias_moved_during_a_restore_is_kept(store, bucket, elsewhere, place, tmp_path):
    promoted(Registry(store, bucket, "team-a"), tmp_path, b"old")
    taken = backed_up(store, bucket, place)
    there = Registry(store, elsewhere, "team-a")
    moved = []

    def report(line: str) -> None:
        if not moved:
            moved.append(promoted(there, tmp_path, b"meanwhile"))

    with pytest.raises(FailedError, match="meanwhile"):
        restored(store, elsewhere, place, taken, report=report)
    assert there.read_alias("iris", "champion").record.digest == moved[0]
