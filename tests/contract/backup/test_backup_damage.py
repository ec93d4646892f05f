"""What is damaged on either side is found, named, and never restored; each cause has words of its own."""

import pytest
from support.backups import backed_up, flipped, promoted, restored
from support.promotions import key_of

from slipway.core.errors import FailedError, StoreError, UsageError
from storage.backup.check import check
from storage.backup.place import BackupPlace
from storage.backup.pool import Pool
from storage.client import StoreAccess, open_store
from storage.keys import StoreKey
from storage.layout import version_prefix
from storage.registry.registry import Registry

pytestmark = pytest.mark.contract


@pytest.mark.parametrize("fault", ["altered", "missing", "foreign", "manifest"])
def test_a_damaged_source_version_is_named_and_the_rest_kept(store, bucket, place, tmp_path, fault):
    registry = Registry(store, bucket, "team-a")
    bad, good = promoted(registry, tmp_path, b"bad"), promoted(registry, tmp_path, b"good", model="churn")
    prefix = version_prefix("team-a", "iris", bad)
    match fault:
        case "altered":
            store.put_object(Bucket=bucket, Key=prefix + "files/model.pkl", Body=b"bat")
        case "missing":
            store.delete_object(Bucket=bucket, Key=prefix + "files/model.pkl")
        case "foreign":
            store.put_object(Bucket=bucket, Key=prefix + "files/x.py", Body=b"x")
        case "manifest":
            store.put_object(Bucket=bucket, Key=prefix + "manifest.json", Body=b"{}")
    taken = backed_up(store, bucket, place)
    assert [(each.model, each.what) for each in taken.index.damaged] == [("iris", bad)]
    assert taken.index.complete is (fault == "foreign"), "a foreign file takes nothing away"
    assert good in {each.place.name for each in taken.index.objects}


def test_what_is_damaged_now_is_taken_from_an_earlier_backup(store, bucket, elsewhere, place, tmp_path):
    registry = Registry(store, bucket, "team-a")
    digest = promoted(registry, tmp_path, b"sound")
    backed_up(store, bucket, place)
    store.put_object(
        Bucket=bucket, Key=version_prefix("team-a", "iris", digest) + "files/model.pkl", Body=b"rotte"
    )
    taken = backed_up(store, bucket, place)
    assert [(each.what, each.kept) for each in taken.index.damaged] == [(digest, True)]
    assert taken.index.complete
    [outcome] = restored(store, elsewhere, place, taken)
    assert (outcome.outcome, outcome.verified) == ("restored", True)
    [mended] = restored(store, bucket, place, taken)
    assert (mended.outcome, mended.verified) == ("unchanged", True)
    assert registry.verify("iris", digest), "restoring over it mended the bytes that were altered"


def test_a_version_with_a_flipped_byte_is_not_restored(store, bucket, elsewhere, place, backups, tmp_path):
    registry = Registry(store, bucket, "team-a")
    bad, good = promoted(registry, tmp_path, b"bad"), promoted(registry, tmp_path, b"good", model="churn")
    taken = backed_up(store, bucket, place)
    [blob] = [
        each for each in taken.index.objects if each.place.path == "model.pkl" and each.place.name == bad
    ]
    flipped(backups, place, blob.sha256)
    [fault] = check(place, taken.index)
    assert fault.what == blob.full_key
    outcomes = {(each.model, each.alias): each for each in restored(store, elsewhere, place, taken)}
    assert outcomes["churn", "champion"].verified
    assert outcomes["churn", "champion"].digest == good
    assert outcomes["iris", "champion"].outcome == "refused"
    assert "altered" in outcomes["iris", "champion"].why
    copy = Registry(store, elsewhere, "team-a")
    assert copy.read_alias("iris", "champion") is None
    assert copy.list_versions("iris") == []

    assert backed_up(store, bucket, place).uploaded == 0, "the pool is trusted unless it is to be read back"
    assert backed_up(store, bucket, place, recheck=True).uploaded == 1
    assert check(place, taken.index) == [], "and the next backup that reads it back mends it"


def test_a_blob_that_is_gone_is_found(store, bucket, place, backups, tmp_path):
    promoted(Registry(store, bucket, "team-a"), tmp_path, b"one")
    taken = backed_up(store, bucket, place)
    sha256 = taken.index.objects[0].sha256
    backups.delete_object(Bucket=place.bucket, Key=f"{place.prefix}blobs/sha256/{sha256}")
    assert [fault.what for fault in check(place, taken.index)] == [taken.index.objects[0].full_key]


def test_an_index_that_was_altered_is_refused(store, bucket, place, backups, tmp_path):
    promoted(Registry(store, bucket, "team-a"), tmp_path, b"one")
    taken = backed_up(store, bucket, place)
    key = f"{place.prefix}snapshots/local/{taken.id}/backup.json"
    assert place.index("local", taken.id) == taken.index
    backups.put_object(Bucket=place.bucket, Key=key, Body=taken.index.encode() + b" ")
    with pytest.raises(FailedError, match="was altered"):
        place.index("local", taken.id)
    backups.delete_object(Bucket=place.bucket, Key=key)
    assert place.snapshots() == []
    with pytest.raises(UsageError, match="has no snapshot"):
        place.index("local", taken.id)
    with pytest.raises(UsageError, match="no backup of stack"):
        place.newest("local")


def test_each_cause_at_the_target_has_words_of_its_own(target, place):
    nobody = StoreKey(access_key="nobody", secret_key=key_of(target).secret_key)
    wrong = StoreKey(access_key=target.access_key, secret_key=nobody.access_key * 3)
    missing = BackupPlace(place.client, "no-such-bucket", "")
    cases = [(missing, "bucket no-such-bucket does not exist", "Create the bucket")]
    for key, words in (
        (nobody, "does not know the access key"),
        (wrong, "does not belong to the access key"),
    ):
        client = open_store(StoreAccess(endpoint=target.url, key=key, region="us-east-1"))
        cases.append((BackupPlace.at(client, "s3://backups"), words, "SLIPWAY_BACKUP_ACCESS_KEY_ID"))
    down = open_store(
        StoreAccess(endpoint="http://127.0.0.1:9", key=key_of(target), region="us-east-1"), retries=0
    )
    cases.append((BackupPlace.at(down, "s3://backups"), "nothing answers", "--endpoint"))
    for there, words, fix in cases:
        with pytest.raises(StoreError, match=words) as caught:
            Pool(there)
        assert "in the backup store" in caught.value.what
        assert fix in caught.value.fix
        assert target.secret_key not in str(caught.value)
    assert Pool(place).uploaded == 0, "the control"
