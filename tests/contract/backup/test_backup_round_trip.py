"""Backups between two real stores: what is copied, what is not, and what comes back."""

import pytest
from pydantic import SecretStr
from support.backups import LINEAGE, SIGNING, backed_up, contents, flipped, promoted, restored
from support.certificates import certificate, new_ca
from support.faulty_store import faulty_store
from support.versitygw import running_versitygw

from slipway.core.errors import StoreError
from slipway.operations.backup import ACCESS_KEY, SECRET_KEY, Where, open_place
from storage.backup.check import check
from storage.backup.place import BackupPlace
from storage.backup.pool import Pool
from storage.client import StoreAccess, open_store
from storage.keys import StoreKey
from storage.layout import version_prefix
from storage.registry.registry import Registry

pytestmark = pytest.mark.contract


def test_what_was_backed_up_comes_back_byte_for_byte(store, bucket, elsewhere, place, tmp_path):
    registry = Registry(store, bucket, "team-a")
    first = promoted(registry, tmp_path, b"one")
    second = promoted(registry, tmp_path, b"two" * 5_000_000)
    promoted(registry, tmp_path, b"three", model="churn", alias="candidate")
    taken = backed_up(store, bucket, place)
    assert taken.index.complete
    assert place.snapshots() == [("local", taken.id)]
    assert check(place, taken.index) == []

    outcomes = restored(store, elsewhere, place, taken)
    assert [(each.model, each.alias, each.outcome, each.verified) for each in outcomes] == [
        ("churn", "candidate", "restored", True),
        ("iris", "champion", "restored", True),
    ]
    assert contents(store, elsewhere) == contents(store, bucket)
    copy = Registry(store, elsewhere, "team-a")
    assert copy.list_versions("iris") == sorted([first, second])
    assert copy.verify("iris", second).lineage == LINEAGE
    again = restored(store, elsewhere, place, taken)
    assert {each.outcome for each in again} == {"unchanged"}
    assert contents(store, elsewhere) == contents(store, bucket)


def test_a_second_backup_sends_only_what_is_new(store, bucket, place, tmp_path):
    registry = Registry(store, bucket, "team-a")
    promoted(registry, tmp_path, b"a" * 100_000)
    first = backed_up(store, bucket, place)
    same = backed_up(store, bucket, place)
    assert (same.uploaded, same.uploaded_bytes) == (0, 0)
    promoted(registry, tmp_path, b"b" * 1000)
    second = backed_up(store, bucket, place)
    # model.pkl, its manifest, its log entry and the alias; schema.json is in the pool
    assert second.uploaded == 4
    assert second.uploaded_bytes < 10_000 < first.uploaded_bytes
    assert len(place.snapshots("local")) == 3
    assert place.newest("local") == second.id


def test_torn_uploads_and_foreign_keys_are_left_out(store, bucket, place, tmp_path):
    registry = Registry(store, bucket, "team-a")
    promoted(registry, tmp_path, b"whole")
    store.put_object(Bucket=bucket, Key=version_prefix("team-a", "iris", "0" * 64) + "files/a", Body=b"torn")
    store.put_object(Bucket=bucket, Key="team-a/No Model/x", Body=b"?")
    store.put_object(Bucket=bucket, Key="team-ab/iris/aliases/champion.json", Body=b"of another tenant")
    taken = backed_up(store, bucket, place)
    assert taken.index.complete
    assert len(taken.index.objects) == 5
    assert {each.tenant for each in taken.index.objects} == {"team-a"}


@pytest.mark.parametrize("step", ["aliases", "log", "versions"])
def test_a_concurrent_promotion_leaves_no_broken_alias(store, bucket, place, tmp_path, step):
    registry = Registry(store, bucket, "team-a")
    promoted(registry, tmp_path, b"before")
    moves = []

    def report(line: str) -> None:
        if line.endswith(f": {step}") and not moves:
            moves.append(promoted(registry, tmp_path, b"meanwhile " + step.encode()))

    taken = backed_up(store, bucket, place, report=report)
    assert moves, "the promotion took place"
    assert taken.index.complete
    assert check(place, taken.index) == []


def test_a_version_collected_meanwhile_is_read_again(store, bucket, place, tmp_path):
    registry = Registry(store, bucket, "team-a")
    old = promoted(registry, tmp_path, b"old")
    lines = []

    def report(line: str) -> None:
        lines.append(line)
        if line.endswith(": versions") and len(lines) == 3:
            promoted(registry, tmp_path, b"new")
            for key in contents(store, bucket, version_prefix("team-a", "iris", old)):
                store.delete_object(Bucket=bucket, Key=key)

    taken = backed_up(store, bucket, place, report=report)
    assert any("reading it again" in line for line in lines)
    assert taken.index.complete
    assert check(place, taken.index) == []


def test_tenants_stay_apart(store, bucket, elsewhere, place, tmp_path):
    promoted(Registry(store, bucket, "team-a"), tmp_path, b"of a")
    promoted(Registry(store, bucket, "team-ab"), tmp_path, b"of ab")
    taken = backed_up(store, bucket, place, tenants=("team-a", "team-ab"))
    assert taken.index.tenants == ("team-a", "team-ab")
    restored(store, elsewhere, place, taken, tenant="team-a")
    assert contents(store, elsewhere) == contents(store, bucket, "team-a/")
    restored(store, elsewhere, place, taken, tenant="team-ab")
    assert contents(store, elsewhere) == contents(store, bucket)


def test_backups_at_another_make_of_store(store, bucket, elsewhere, tmp_path, tmp_path_factory):
    """There, back, and restored into that make of store too."""
    registry = Registry(store, bucket, "team-a")
    promoted(registry, tmp_path, b"first" * 1_000_000)
    promoted(registry, tmp_path, b"second")
    with running_versitygw(tmp_path_factory.mktemp("versity")) as gateway:
        key = StoreKey(access_key=gateway.access_key, secret_key=SecretStr(gateway.secret_key))
        client = open_store(StoreAccess(endpoint=gateway.url, key=key, region="us-east-1"))
        for name in ("backups", "models"):
            client.create_bucket(Bucket=name)
        place = BackupPlace.at(client, "s3://backups/slipway")
        taken = backed_up(store, bucket, place)
        assert taken.index.complete
        assert backed_up(store, bucket, place).uploaded == 0
        assert check(place, taken.index) == []
        flipped(client, place, taken.index.objects[-1].sha256)
        assert [fault.what for fault in check(place, taken.index)] == [taken.index.objects[-1].full_key]
        assert backed_up(store, bucket, place, recheck=True).uploaded == 1
        for there, models in ((store, elsewhere), (client, "models")):
            [outcome] = restored(there, models, place, taken)
            assert (outcome.outcome, outcome.verified) == ("restored", True)
            assert contents(there, models) == contents(store, bucket)
        client.close()


def test_backups_at_a_store_of_a_private_ca(store, bucket, elsewhere, target, tmp_path, monkeypatch):
    """There and back over TLS, with what a command line is given: an address, a file, a key."""
    promoted(Registry(store, bucket, "team-a"), tmp_path, b"over TLS" * 1_000_000)
    ours, file = new_ca(), tmp_path / "ca.pem"
    file.write_text(ours.pem)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    key = {ACCESS_KEY: target.access_key, SECRET_KEY: target.secret_key}
    context = certificate(ours, "127.0.0.1", days=1, folder=tmp_path)
    with faulty_store(target.endpoint, tls=context) as server:
        where = Where(f"s3://{bucket}/slipway", server.url, ca=file)
        place = open_place(where, key)
        place.client.create_bucket(Bucket=bucket)
        taken = backed_up(store, bucket, place)
        assert check(place, place.index("local", taken.id, SIGNING)) == []
        [outcome] = restored(store, elsewhere, place, taken)
        assert (outcome.outcome, outcome.verified) == ("restored", True)
        assert contents(store, elsewhere) == contents(store, bucket)
        stranger = tmp_path / "stranger.pem"
        stranger.write_text(new_ca().pem)
        for other in (stranger, None):
            with pytest.raises(StoreError, match="certificate is not trusted") as caught:
                Pool(open_place(Where(where.uri, server.url, ca=other), key))
            assert caught.value.cause == "certificate"
            assert "--ca-file" in caught.value.fix
