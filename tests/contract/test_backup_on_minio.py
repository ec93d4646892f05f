"""Backups between two real stores: what is copied, what is not, and what comes back after each fault."""

import hashlib
import io
import json
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError
from pydantic import SecretStr
from support.minio import new_minio, running_minio, start_minio, stop_minio
from support.promotions import key_of
from support.versitygw import running_versitygw

from storage.backup.check import check
from storage.backup.index import snapshot_id
from storage.backup.place import BackupPlace
from storage.backup.pool import Pool
from storage.backup.restore import TenantRestore
from storage.backup.snapshot import TenantBackup, finish
from storage.client import StoreAccess, open_store
from storage.errors import FailedError, StoreError, UsageError
from storage.keys import StoreKey
from storage.layout import version_prefix
from storage.model_files import File, Staged
from storage.records import Lineage
from storage.registry import Registry

pytestmark = pytest.mark.contract

LINEAGE = Lineage(
    run_id="run-1",
    pipeline_digest="b" * 64,
    git_commit="c" * 40,
    data_uri="s3://data/team-a/x.csv",
    data_sha256="d" * 64,
    metrics={"accuracy": 0.9},
    frameworks={},
)
FILES = {
    "state.json": b'{"deployment": {}}',
    "settings.yaml": b"config: {}",
    "tenants/team-a.yaml": b"name: team-a",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    with running_minio(tmp_path_factory.mktemp("source")) as server:
        yield server


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    with running_minio(tmp_path_factory.mktemp("target")) as server:
        yield server


def opened(minio, **changes):
    return open_store(StoreAccess(endpoint=minio.url, key=key_of(minio), region="us-east-1"), **changes)


@pytest.fixture(scope="module")
def store(source):
    client = opened(source)
    yield client
    client.close()


@pytest.fixture(scope="module")
def backups(target):
    client = opened(target)
    yield client
    client.close()


@pytest.fixture
def bucket(store, request):
    return made(store, request, "models")


@pytest.fixture
def elsewhere(store, request):
    """The models bucket of another, empty stack."""
    return made(store, request, "other")


@pytest.fixture
def place(backups, request):
    return BackupPlace.at(backups, f"s3://{made(backups, request, 'backups')}/of/slipway/")


def made(client, request, kind):
    digest = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]
    client.create_bucket(Bucket=f"{kind}-{digest}")
    return f"{kind}-{digest}"


def published(registry, tmp_path, content: bytes, model="iris") -> str:
    folder = tmp_path / hashlib.sha256(content).hexdigest()
    folder.mkdir()
    files = {"model.pkl": content, "schema.json": b"{}"}
    for name, each in files.items():
        (folder / name).write_bytes(each)
    listed = tuple(
        File(path=name, sha256=hashlib.sha256(each).hexdigest(), size=len(each))
        for name, each in files.items()
    )
    return registry.publish(model, Staged(folder, listed), LINEAGE).digest


def promoted(registry, tmp_path, content: bytes, model="iris", alias="champion") -> str:
    digest = published(registry, tmp_path, content, model)
    entry = registry.append_history(model, "promoted", digest, {"manifest": {"kind": "x"}})
    held = registry.read_alias(model, alias)
    registry.move_alias(model, alias, digest, expected=held, history=entry.number)
    return digest


def backed_up(store, bucket, place, *, tenants=("team-a",), report=lambda line: None, recheck=False):
    pool = Pool(place, recheck=recheck)
    objects, damaged = [], []
    for tenant in tenants:
        more, worse = TenantBackup(store, bucket, tenant, pool, report).take()
        objects += more
        damaged += worse
    return finish(
        pool,
        stack="local",
        versions=("0.1.0", 2),
        tenants=tenants,
        objects=objects,
        damaged=damaged,
        files=FILES,
    )


def restored(store, bucket, place, taken, tenant="team-a", **more):
    index = place.index("local", taken.id)
    return TenantRestore(store, bucket, tenant, place, index, taken.id, **more).run()


def contents(client, bucket, prefix=""):
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


# --- there and back --------------------------------------------------------------------------------------


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
def test_a_promotion_in_the_middle_leaves_no_alias_without_its_version(store, bucket, place, tmp_path, step):
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


def test_a_version_that_is_collected_in_the_middle_has_its_model_read_again(store, bucket, place, tmp_path):
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


# --- damage ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["altered", "missing", "foreign", "manifest"])
def test_a_damaged_version_of_the_source_is_named_and_the_rest_kept(store, bucket, place, tmp_path, fault):
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


def flipped(backups, place, sha256):
    key = f"{place.prefix}blobs/sha256/{sha256}"
    content = bytearray(backups.get_object(Bucket=place.bucket, Key=key)["Body"].read())
    content[0] ^= 1
    backups.put_object(Bucket=place.bucket, Key=key, Body=bytes(content))


def test_a_flipped_byte_is_found_and_its_version_is_not_restored(
    store, bucket, elsewhere, place, backups, tmp_path
):
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


# --- interruptions ---------------------------------------------------------------------------------------


class Deadly(io.BytesIO):
    """A body that kills the server when half of it has been read."""

    def __init__(self, content: bytes, process) -> None:
        super().__init__(content)
        self.process = process
        self.left = len(content) // 2

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self.left -= len(content)
        if self.left < 0:
            self.process.kill()
            self.process.wait()
        return content


def test_a_target_killed_in_an_upload_leaves_no_snapshot_and_the_rerun_completes(
    store, bucket, elsewhere, tmp_path, tmp_path_factory
):
    registry = Registry(store, bucket, "team-a")
    for number in range(6):
        promoted(registry, tmp_path, bytes([number]) * 3_000_000)
    data, dying = tmp_path_factory.mktemp("dying"), new_minio()
    process = start_minio(dying, data)
    try:
        client = opened(dying, retries=0)
        client.create_bucket(Bucket="backups")
        put, large = client.put_object, []

        def deadly(**arguments):
            content = arguments["Body"].read()
            arguments["Body"].seek(0)
            large.append(len(content) > 1_000_000)
            body = Deadly(content, process) if large[-1] and large.count(True) == 4 else arguments["Body"]
            return put(**arguments | {"Body": body})

        client.put_object = deadly
        with pytest.raises(StoreError, match="among the backups") as caught:
            backed_up(store, bucket, BackupPlace.at(client, "s3://backups"))
        assert process.poll() is not None, "it was killed"
        assert caught.value.cause in ("cut", "unreachable")
        client.close()
    finally:
        stop_minio(process)
    with running_minio(data) as back:
        client = opened(back)
        place = BackupPlace.at(client, "s3://backups")
        there = len(place.pooled())
        assert place.snapshots() == [], "no index of a torn snapshot"
        taken = backed_up(store, bucket, place)
        blobs = len(taken.index.blobs())
        assert taken.index.complete
        assert 0 < there < blobs
        assert taken.uploaded == blobs - there, "what had arrived is not sent again"
        assert check(place, taken.index) == []
        [outcome] = restored(store, elsewhere, place, taken)
        assert outcome.verified
        client.close()


def test_a_restore_that_was_cut_off_goes_on(source, store, bucket, elsewhere, place, tmp_path):
    registry = Registry(store, bucket, "team-a")
    for number in range(3):
        promoted(registry, tmp_path, bytes([number]) * 1000)
    taken = backed_up(store, bucket, place)
    for cut in (0, 1, 4, 8, 10, 12):
        client = opened(source)
        put, left = client.put_object, [cut]

        def full(*, put=put, left=left, **arguments):
            left[0] -= 1
            if left[0] < 0:
                raise ClientError({"Error": {"Code": "XMinioStorageFull"}}, "PutObject")
            return put(**arguments)

        client.put_object = full
        emptied(store, elsewhere)
        with pytest.raises(StoreError, match="out of space"):
            restored(client, elsewhere, place, taken)
        client.close()
        copy = Registry(store, elsewhere, "team-a")
        assert copy.read_alias("iris", "champion") is None, "it comes last"
        for digest in copy.list_versions("iris"):
            copy.verify("iris", digest)
        numbers = [entry.number for entry in copy.history("iris")]
        assert numbers == list(range(1, len(numbers) + 1))
        [outcome] = restored(store, elsewhere, place, taken)
        assert (outcome.outcome, outcome.verified) == ("restored", True)
        assert contents(store, elsewhere) == contents(store, bucket)


def emptied(client, bucket):
    for key in contents(client, bucket):
        client.delete_object(Bucket=bucket, Key=key)


# --- what is there already -------------------------------------------------------------------------------


def test_an_alias_that_differs_is_never_overwritten_in_silence(store, bucket, place, tmp_path):
    registry = Registry(store, bucket, "team-a")
    old = promoted(registry, tmp_path, b"old")
    taken = backed_up(store, bucket, place)
    new = promoted(registry, tmp_path, b"new")
    before = contents(store, bucket)
    with pytest.raises(UsageError, match=rf"iris@champion names {new[:12]}, in the backup {old[:12]}"):
        restored(store, bucket, place, taken)
    assert contents(store, bucket) == before, "nothing was changed"

    [outcome] = restored(store, bucket, place, taken, replace=True)
    assert (outcome.outcome, outcome.digest, outcome.verified) == ("replaced", old, True)
    held = registry.read_alias("iris", "champion")
    assert (held.record.digest, held.record.number, held.record.history) == (old, 3, 3)
    assert [entry.event for entry in registry.history("iris")] == ["promoted", "promoted", "restored"]
    entry = registry.read_history("iris", 3)
    assert entry.details["snapshot"] == taken.id
    assert entry.details["previous"] == new
    assert entry.details["manifest"] == {"kind": "x"}, "the endpoint is made from it"
    assert {key: value for key, value in before.items() if "/aliases/" not in key}.items() <= contents(
        store, bucket
    ).items(), "no version and no entry gave way"


def test_a_log_that_went_another_way_is_kept(store, bucket, elsewhere, place, tmp_path):
    old = promoted(Registry(store, bucket, "team-a"), tmp_path, b"old")
    taken = backed_up(store, bucket, place)
    there = Registry(store, elsewhere, "team-a")
    promoted(there, tmp_path, b"of the new stack", alias="other")
    with pytest.raises(UsageError, match="entry 1 of the log of team-a/iris is another"):
        restored(store, elsewhere, place, taken)
    [outcome] = restored(store, elsewhere, place, taken, replace=True)
    assert (outcome.outcome, outcome.digest) == ("replaced", old)
    assert [entry.event for entry in there.history("iris")] == ["promoted", "restored"]
    assert there.verify("iris", there.read_alias("iris", "champion").record.digest)


def test_an_alias_that_moves_during_the_restore_is_not_overwritten(store, bucket, elsewhere, place, tmp_path):
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


# --- tenants ---------------------------------------------------------------------------------------------


def test_tenants_stay_apart(store, bucket, elsewhere, place, tmp_path):
    promoted(Registry(store, bucket, "team-a"), tmp_path, b"of a")
    promoted(Registry(store, bucket, "team-ab"), tmp_path, b"of ab")
    taken = backed_up(store, bucket, place, tenants=("team-a", "team-ab"))
    assert taken.index.tenants == ("team-a", "team-ab")
    restored(store, elsewhere, place, taken, tenant="team-a")
    assert contents(store, elsewhere) == contents(store, bucket, "team-a/")
    restored(store, elsewhere, place, taken, tenant="team-ab")
    assert contents(store, elsewhere) == contents(store, bucket)


def forged(place, backups, document: dict) -> str:
    """Write an index as somebody would who may write to the backups' store; its name vouches for it."""
    content = json.dumps(document).encode()
    identity = snapshot_id(datetime.fromisoformat(document["taken_at"]).astimezone(UTC), content)
    key = f"{place.prefix}snapshots/local/{identity}/backup.json"
    backups.put_object(Bucket=place.bucket, Key=key, Body=content)
    return identity


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
    with pytest.raises(FailedError, match="is refused"):
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


# --- causes ----------------------------------------------------------------------------------------------


def test_each_cause_at_the_target_has_words_of_its_own(target, place):
    nobody = StoreKey(access_key="nobody", secret_key=key_of(target).secret_key)
    wrong = StoreKey(access_key=target.access_key, secret_key=nobody.access_key * 3)
    missing = BackupPlace(place.client, "no-such-bucket", "")
    cases = [(missing, "bucket no-such-bucket does not exist", "Make the bucket")]
    for key, words in ((nobody, "does not know the access key"), (wrong, "not the one of the access key")):
        client = open_store(StoreAccess(endpoint=target.url, key=key, region="us-east-1"))
        cases.append((BackupPlace.at(client, "s3://backups"), words, "SLIPWAY_BACKUP_ACCESS_KEY_ID"))
    down = open_store(
        StoreAccess(endpoint="http://127.0.0.1:9", key=key_of(target), region="us-east-1"), retries=0
    )
    cases.append((BackupPlace.at(down, "s3://backups"), "nothing answers", "--endpoint"))
    for there, words, fix in cases:
        with pytest.raises(StoreError, match=words) as caught:
            Pool(there)
        assert "among the backups" in caught.value.what
        assert fix in caught.value.fix
        assert target.secret_key not in str(caught.value)
    assert Pool(place).uploaded == 0, "the control"


# --- another make of store -------------------------------------------------------------------------------


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
