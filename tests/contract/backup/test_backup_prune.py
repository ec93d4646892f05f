"""Old snapshots are forgotten and their blobs removed, but none that a snapshot needs or is about to."""

from datetime import UTC, datetime, timedelta

import pytest
from support.backups import SIGNING, backed_up, contents, forged, promoted, restored

from slipway.core.errors import FailedError
from storage.backup import pending_deletions
from storage.backup.check import check
from storage.backup.finish import finish
from storage.backup.pool import Pool
from storage.backup.prune import carry_out, plan
from storage.backup.retention import Retention
from storage.keys import backup_key
from storage.layout import tenant_prefix
from storage.registry.registry import Registry

pytestmark = pytest.mark.contract

LATER = datetime.now(UTC) + timedelta(days=40)
ONE = Retention(newest=1, days=0)


def planned(place, retention=ONE, key=SIGNING, now=LATER):
    return plan(place, "local", retention, key, now)


def blobs_of(taken) -> set[str]:
    return set(taken.index.blobs())


def emptied(store, bucket):
    for key in contents(store, bucket, tenant_prefix("team-a")):
        store.delete_object(Bucket=bucket, Key=key)


@pytest.fixture
def two(store, bucket, place, tmp_path):
    """An old snapshot with a version that was collected since, and a newer one without it."""
    promoted(Registry(store, bucket, "team-a"), tmp_path, b"of the old one")
    old = backed_up(store, bucket, place)
    emptied(store, bucket)
    promoted(Registry(store, bucket, "team-a"), tmp_path, b"of the new one")
    return old, backed_up(store, bucket, place)


def test_what_only_old_snapshots_need_goes(store, bucket, elsewhere, place, backups, two):
    old, new = two
    torn = "f" * 64
    backups.put_object(Bucket=place.bucket, Key=f"{place.prefix}blobs/sha256/{torn}", Body=b"of a torn one")
    before = contents(backups, place.bucket)
    pruning = planned(place)
    assert contents(backups, place.bucket) == before, "a plan changes nothing"
    assert pruning.to_remove == [old.id]
    assert set(pruning.blobs) == blobs_of(old) - blobs_of(new) | {torn}
    assert len(pruning.blobs) > 3

    assert carry_out(place, pruning) == pruning.blobs
    assert place.snapshots() == [("local", new.id)]
    assert set(place.pooled()) == blobs_of(new)
    left = contents(backups, place.bucket)
    assert [key for key in left if "/pruning/" in key or old.id in key] == []
    assert check(place, new.index) == []
    [outcome] = restored(store, elsewhere, place, new)
    assert outcome.verified
    assert carry_out(place, planned(place)) == {}, "nothing is left to do"
    assert contents(backups, place.bucket) == left


def test_the_newest_stay_and_young_blobs_too(place, two):
    old, _ = two
    assert planned(place, Retention(newest=2, days=0)).to_remove == []
    assert planned(place, Retention(newest=1, days=41)).to_remove == []
    young = planned(place, now=datetime.now(UTC) + timedelta(days=6))
    assert young.to_remove == [old.id]
    assert young.blobs == {}, "somebody may be sending them"
    assert planned(place, now=datetime.now(UTC) + timedelta(days=8)).blobs, "the control"


def test_another_stacks_snapshot_keeps_its_blobs(place, two):
    old, _ = two
    content = old.index.model_copy(update={"stack": "other"})
    other = place.write(content, backup_key("the secret of the other stack"))
    pruning = planned(place)
    assert pruning.to_remove == [old.id]
    assert pruning.blobs == {}
    carry_out(place, pruning)
    assert place.snapshots("other") == [("other", other)]
    assert check(place, place.index("other", other)) == []


@pytest.mark.parametrize("stack", ["local", "other"])
def test_an_index_that_cannot_be_counted_closes_the_gate(place, backups, two, stack):
    old, new = two
    key = f"{place.prefix}snapshots/{stack}/{new.id}/backup.json"
    backups.put_object(Bucket=place.bucket, Key=key, Body=b"altered")
    before = contents(backups, place.bucket)
    with pytest.raises(FailedError, match=f"Nothing was pruned: snapshot {new.id} of stack {stack}"):
        planned(place)
    assert contents(backups, place.bucket) == before
    assert old.id in "".join(before)


def test_a_forged_snapshot_pushes_none_out(place, backups, two):
    _, new = two
    forged(place, backups, new.index.model_dump(mode="json") | {"taken_at": "2030-01-01T00:00:00Z"})
    with pytest.raises(FailedError, match="Nothing was pruned") as caught:
        planned(place)
    assert "is not signed" in caught.value.why
    assert new.id in planned(place, key=None).to_remove, "the control: it would have"


# --- a backup at the same time ---------------------------------------------------------------------------


def test_a_prune_withdraws_a_backup_of_pruned_blobs(store, bucket, place, two, tmp_path):
    _, new = two
    emptied(store, bucket)
    promoted(Registry(store, bucket, "team-a"), tmp_path / "again", b"of the old one")
    pruned = []

    def report(line: str) -> None:
        if line.endswith(": log") and not pruned:
            pruned.append(carry_out(place, planned(place)))

    with pytest.raises(FailedError, match="was withdrawn") as caught:
        backed_up(store, bucket, place, report=report)
    assert pruned[0], "the prune took place"
    assert "Run the command again" in caught.value.fix
    assert place.snapshots() == [("local", new.id)], "no snapshot without its bytes"
    again = backed_up(store, bucket, place)
    assert check(place, again.index) == []


def test_a_prune_keeps_what_a_newer_snapshot_needs(store, bucket, place, two, tmp_path):
    _, new = two
    pruning = planned(place)
    emptied(store, bucket)
    promoted(Registry(store, bucket, "team-a"), tmp_path / "again", b"of the old one")
    newest = backed_up(store, bucket, place)
    shared = blobs_of(newest) & set(pruning.blobs)
    assert shared, "it relies on what was to go"
    gone = carry_out(place, pruning)
    assert gone
    assert not shared & set(gone)
    assert check(place, newest.index) == []
    assert check(place, new.index) == []


def test_a_snapshot_written_during_a_prune_is_withdrawn(place, two):
    """The narrowest moment: the blobs are named, and not gone yet."""
    old, new = two
    pool = Pool(place)
    note = pending_deletions.announce(place, blobs_of(new))
    arguments = {
        "stack": "local",
        "versions": ("0.1.0", 2),
        "tenants": ("team-a",),
        "damaged": (),
        "files": {},
    }
    with pytest.raises(FailedError, match="was withdrawn"):
        finish(pool, SIGNING, objects=new.index.objects, **arguments)
    assert place.snapshots() == [("local", old.id), ("local", new.id)]
    pending_deletions.withdraw(place, note)
    taken = finish(pool, SIGNING, objects=new.index.objects, **arguments)
    assert check(place, taken.index) == [], "the control"


def test_nothing_begins_during_a_prune(place, backups, two):
    pruning = planned(place)
    note = pending_deletions.announce(place, pruning.blobs)
    before = contents(backups, place.bucket)
    for begin in (lambda: Pool(place), lambda: carry_out(place, pruning)):
        with pytest.raises(FailedError, match="is running") as caught:
            begin()
        assert "an hour" in caught.value.fix
    assert contents(backups, place.bucket) == before
    now = datetime.now(UTC)
    assert list(pending_deletions.announced(place, now + timedelta(minutes=59))) == [note]
    assert pending_deletions.announced(place, now + timedelta(minutes=61)) == {}
    pending_deletions.withdraw(place, note)
    assert carry_out(place, pruning) == pruning.blobs, "the control"


def test_a_failed_prune_takes_its_note_back(place, backups, two, monkeypatch):
    _, new = two
    pruning = planned(place)

    def refuse(**_):
        return {"Errors": [{"Code": "AccessDenied", "Message": "Access Denied."}]}

    with monkeypatch.context() as patched:
        patched.setattr(place.client, "delete_objects", refuse)
        with pytest.raises(FailedError, match="were not removed") as caught:
            carry_out(place, pruning)
    assert "AccessDenied" in caught.value.why
    assert place.snapshots() == [("local", new.id)], "an index goes before its blobs"
    assert not [key for key in contents(backups, place.bucket) if "/pruning/" in key]
    carry_out(place, planned(place))
    assert set(place.pooled()) == blobs_of(new)
