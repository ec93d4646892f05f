"""An index that somebody else made is refused, and so is what it names."""

import json

import pytest
from support.backups import SIGNING, backed_up, contents, forged, promoted

from slipway.core.errors import FailedError
from storage.backup.check import check
from storage.backup.restore import TenantRestore
from storage.backup.signature import sign
from storage.keys import backup_key
from storage.registry.registry import Registry

pytestmark = pytest.mark.contract


@pytest.mark.parametrize(
    "key",
    [
        "../team-ab/iris/aliases/champion.json",
        "iris/versions/{d}/files/../../../../../team-ab/x",
        "iris/versions/{d}/files/./x",
        "iris/versions/{d}/files//x",
        "iris/versions/{d}/files/a\\b",
        "iris/versions/{d}/files/%2e%2e/x",
        "iris/versions/{d}/files/a\0b",
        "iris/versions/{d}/files/" + "a" * 1025,
        "iris/versions/{d}/files/e\u0301.pkl",
        "iris/versions/" + "A" * 64 + "/manifest.json",
        "iris/aliases/../../../x.json",
        "iris/history/1.json",
        "Iris/aliases/champion.json",
        "/iris/aliases/champion.json",
        "iris/other/x",
    ],
)
def test_an_index_with_a_key_that_escapes_is_refused(store, bucket, elsewhere, place, backups, tmp_path, key):
    promoted(Registry(store, bucket, "team-a"), tmp_path, b"one")
    taken = backed_up(store, bucket, place)
    document = json.loads(taken.index.encode())
    assert place.index("local", forged(place, backups, document | {"slipway": "0.2.0"})), "the control"
    document["objects"][0]["key"] = key.format(d="0" * 64)
    with pytest.raises(FailedError, match="is invalid"):
        place.index("local", forged(place, backups, document))
    assert contents(store, elsewhere) == {}


def test_a_record_under_another_tenant_is_refused(store, bucket, elsewhere, place, backups, tmp_path):
    """The index may say what it likes: what it names says itself whose it is."""
    promoted(Registry(store, bucket, "team-a"), tmp_path, b"one")
    taken = backed_up(store, bucket, place)
    document = json.loads(taken.index.encode())
    document["tenants"] = ["team-ab"]
    for each in document["objects"]:
        each["tenant"] = "team-ab"
    identity = forged(place, backups, document)
    index = place.index("local", identity)
    assert {fault.what for fault in check(place, index)} >= {"team-ab/iris@champion"}
    outcomes = TenantRestore(store, elsewhere, "team-ab", place, index, identity).run()
    assert {each.outcome for each in outcomes} == {"refused"}
    copy = Registry(store, elsewhere, "team-ab")
    assert copy.read_alias("iris", "champion") is None
    assert copy.history("iris") == []


def test_an_index_takes_the_stacks_secret_to_make(store, bucket, place, backups, tmp_path):
    """Who can write there can replace an index by another consistent one, but can't sign it."""
    promoted(Registry(store, bucket, "team-a"), tmp_path, b"one")
    taken = backed_up(store, bucket, place)
    assert place.index("local", taken.id, SIGNING) == taken.index, "the control"
    document = json.loads(taken.index.encode()) | {"slipway": "0.2.0"}
    identity = forged(place, backups, document)
    assert place.newest("local") in (identity, taken.id)
    with pytest.raises(FailedError, match="is not signed") as caught:
        place.index("local", identity, SIGNING)
    assert "--unsigned" in caught.value.fix
    beside = f"{place.prefix}snapshots/local/{{}}/signature"
    genuine = backups.get_object(Bucket=place.bucket, Key=beside.format(taken.id))["Body"].read()
    for signature in (genuine, b"", b"0" * 64, sign(backup_key("another secret"), taken.index.encode())):
        backups.put_object(Bucket=place.bucket, Key=beside.format(identity), Body=signature)
        with pytest.raises(FailedError, match="was not signed with the secret of stack local"):
            place.index("local", identity, SIGNING)
    assert place.index("local", identity), "it is consistent: only its signature gives it away"


def test_a_genuine_index_is_not_another_stacks(store, bucket, place, backups, tmp_path):
    promoted(Registry(store, bucket, "team-a"), tmp_path, b"one")
    taken = backed_up(store, bucket, place)
    for name in ("backup.json", "signature"):
        source = f"{place.prefix}snapshots/local/{taken.id}/{name}"
        target = f"{place.prefix}snapshots/other/{taken.id}/{name}"
        content = backups.get_object(Bucket=place.bucket, Key=source)["Body"].read()
        backups.put_object(Bucket=place.bucket, Key=target, Body=content)
    with pytest.raises(FailedError, match="It is of stack local"):
        place.index("other", taken.id, SIGNING)
