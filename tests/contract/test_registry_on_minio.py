"""The registry against a real store: immutability, races, torn uploads, hostile keys."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from botocore.exceptions import ClientError
from support.candidates import lineage
from support.promotions import key_of
from support.waiting import PATIENCE_SECONDS

from slipway.core.errors import FailedError, UsageError
from storage.client import StoreAccess, open_store
from storage.keys import StoreKey
from storage.layout import alias_key, history_key, version_prefix
from storage.registry.model_files import stage
from storage.registry.promotion_record import EarlierCandidate, EarlierRecord
from storage.registry.records import Manifest
from storage.registry.registry import ConflictError, Registry

WRITERS = 16
LINEAGE = lineage()
pytestmark = pytest.mark.contract


@pytest.fixture
def registry(client, bucket):
    return Registry(client, bucket, "team-a")


def source(client, name: str, **files: bytes) -> str:
    """Put a model where a run would leave it; `__` stands for a dot."""
    for key, content in files.items():
        client.put_object(Bucket="runs", Key=f"{name}/{key.replace('__', '.')}", Body=content)
    return f"s3://runs/{name}"


def published(client, registry, content: bytes, model: str = "iris") -> str:
    uri = source(client, f"m-{content.decode()}", model__pkl=content, schema__json=b"{}")
    with stage(client, uri) as staged:
        return registry.publish(model, staged, LINEAGE).digest


def logged(registry, digest: str, run_id: str = "run-1") -> int:
    """Number of a log entry that names the version, without which no alias moves to it."""
    details = EarlierRecord(candidate=EarlierCandidate(run_id=run_id))
    return registry.append_history("iris", "promoted", digest, details).number


def test_a_version_is_what_was_staged(client, registry, bucket):
    digest = published(client, registry, b"one")
    version = registry.verify("iris", digest)
    assert version.storage_uri == f"s3://{bucket}/team-a/iris/versions/{digest}/files"
    assert [file.path for file in version.files] == ["model.pkl", "schema.json"]
    prefix = version_prefix("team-a", "iris", digest)
    assert client.get_object(Bucket=bucket, Key=prefix + "files/model.pkl")["Body"].read() == b"one"
    before = client.head_object(Bucket=bucket, Key=prefix + "manifest.json")["LastModified"]
    assert published(client, registry, b"one") == digest
    assert client.head_object(Bucket=bucket, Key=prefix + "manifest.json")["LastModified"] == before
    assert registry.list_models() == ["iris"]
    assert registry.list_versions("iris") == [digest]


def test_the_manifest_keeps_the_first_run(client, registry):
    digest = published(client, registry, b"lineage")
    other = LINEAGE.model_copy(update={"run_id": "run-2"})
    with stage(client, "s3://runs/m-lineage") as staged:
        again = registry.publish("iris", staged, other)
    assert again.digest == digest
    assert again.lineage == LINEAGE
    shown = registry.show("iris", digest)
    assert shown.lineage.model_dump() == {
        "run_id": "run-1",
        "pipeline_digest": "b" * 64,
        "git_commit": "c" * 40,
        "data_uri": "s3://data/team-a/x.csv",
        "data_sha256": "1" * 64,
        "metrics": {"accuracy": 0.95},
        "frameworks": {"scikit-learn": "1.9.1"},
    }
    assert shown.by
    assert shown.at is not None


def test_a_manifest_of_schema_1_is_still_read(client, registry, bucket):
    digest = published(client, registry, b"old")
    key = version_prefix("team-a", "iris", digest) + "manifest.json"
    fields = json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    old = {name: fields[name] for name in ("tenant", "model", "digest", "files")} | {"schema_version": 1}
    client.put_object(Bucket=bucket, Key=key, Body=json.dumps(old).encode())
    version = registry.verify("iris", digest)
    assert (version.lineage, version.by, version.at) == (None, "", None)
    assert Manifest.model_validate(old).schema_version == 1


def test_a_version_is_found_by_the_first_digits_of_its_digest(client, registry):
    digest = published(client, registry, b"short")
    assert registry.find_version("iris", digest[:12]) == digest
    assert registry.find_version("iris", digest) == digest
    for wrong in (digest[:11], digest.upper(), "", "../" + digest[:12]):
        with pytest.raises(UsageError, match="12 to 64 hexadecimal"):
            registry.find_version("iris", wrong)
    with pytest.raises(UsageError, match="has no version"):
        registry.find_version("iris", "0" * 12)


def test_digits_that_two_digests_begin_with_name_neither(client, registry, monkeypatch):
    twins = ["a" * 12 + "0" * 52, "a" * 12 + "1" * 52]
    monkeypatch.setattr(registry, "list_versions", lambda model: twins)
    with pytest.raises(UsageError, match="has several versions"):
        registry.find_version("iris", "a" * 12)
    assert registry.find_version("iris", twins[1][:13]) == twins[1]


def test_an_alias_moves_only_with_a_log_entry(client, registry):
    one, two = published(client, registry, b"with"), published(client, registry, b"without")
    for number in (logged(registry, one), 7):
        with pytest.raises(FailedError, match="log does not name"):
            registry.move_alias("iris", "champion", two, expected=None, history=number)
    assert registry.read_alias("iris", "champion") is None


def test_a_torn_upload_is_invisible_until_the_next_try(client, registry, monkeypatch):
    put = client.put_object

    def torn(**arguments):
        if arguments["Key"].endswith("schema.json"):
            raise ClientError({"Error": {"Code": "XMinioStorageFull"}}, "PutObject")
        return put(**arguments)

    source(client, "m-torn", model__pkl=b"torn", schema__json=b"{}")
    with stage(client, "s3://runs/m-torn") as staged:
        monkeypatch.setattr(client, "put_object", torn)
        with pytest.raises(FailedError, match="out of space"):
            registry.publish("iris", staged, LINEAGE)
        monkeypatch.undo()
        assert registry.list_versions("iris") == []
        with pytest.raises(UsageError, match="no version"):
            registry.show("iris", staged.digest)
        assert registry.publish("iris", staged, LINEAGE).digest == staged.digest
    assert len(registry.list_versions("iris")) == 1


@pytest.mark.parametrize("fault", ["altered", "missing", "foreign"])
def test_a_version_that_was_touched_in_the_store_is_found_out(client, registry, bucket, fault):
    digest = published(client, registry, fault.encode())
    registry.verify("iris", digest)
    files = version_prefix("team-a", "iris", digest) + "files/"
    if fault == "altered":
        client.put_object(Bucket=bucket, Key=files + "model.pkl", Body=b"altere!")
    elif fault == "missing":
        client.delete_object(Bucket=bucket, Key=files + "model.pkl")
    else:
        client.put_object(Bucket=bucket, Key=files + "model-settings.json", Body=b"{}")
    with pytest.raises(FailedError, match=r"altered|model\.pkl|model-settings"):
        registry.verify("iris", digest)


def test_a_manifest_under_another_models_name_is_refused(client, registry, bucket):
    digest = published(client, registry, b"bound")
    manifest = client.get_object(
        Bucket=bucket, Key=version_prefix("team-a", "iris", digest) + "manifest.json"
    )["Body"].read()
    client.put_object(
        Bucket=bucket, Key=version_prefix("team-a", "other", digest) + "manifest.json", Body=manifest
    )
    with pytest.raises(FailedError, match="not of this version"):
        registry.show("other", digest)


@pytest.mark.parametrize("key", ["a%2fb", "%2e%2e/x", "e\u0301.pkl", "a:b"])
def test_keys_that_the_store_takes_and_we_do_not(client, key):
    """MinIO accepts these; a reader further down may not read them as we do."""
    client.put_object(Bucket="runs", Key=f"hostile-{ord(key[0])}/{key}", Body=b"x")
    with (
        pytest.raises(UsageError, match="can't name a file"),
        stage(client, f"s3://runs/hostile-{ord(key[0])}"),
    ):
        pass


def test_case_twins_and_an_empty_folder_are_refused(client):
    uri = source(client, "twins", model__pkl=b"1", MODEL__pkl=b"2")
    with pytest.raises(UsageError, match="differ only in case"), stage(client, uri):
        pass
    with pytest.raises(UsageError, match="There is no model"), stage(client, "s3://runs/nothing"):
        pass


def test_an_alias_moves_by_compare_and_set(client, registry):
    one, two = published(client, registry, b"v1"), published(client, registry, b"v2")
    assert registry.read_alias("iris", "champion") is None
    logs = [logged(registry, one), logged(registry, two), logged(registry, one)]
    first = registry.move_alias("iris", "champion", one, expected=None, history=logs[0])
    held = registry.read_alias("iris", "champion")
    assert held.record == first
    second = registry.move_alias("iris", "champion", two, expected=held, history=logs[1])
    assert (first.number, second.number) == (1, 2)
    with pytest.raises(ConflictError, match="moved meanwhile"):
        registry.move_alias("iris", "champion", one, expected=held, history=logs[2])
    with pytest.raises(ConflictError):
        registry.move_alias("iris", "champion", one, expected=None, history=logs[2])
    assert registry.read_alias("iris", "champion").record.digest == two


def test_an_alias_points_at_published_versions_only(client, registry):
    published(client, registry, b"some")
    with pytest.raises(UsageError, match="no version"):
        registry.move_alias("iris", "champion", "0" * 64, expected=None, history=logged(registry, "0" * 64))
    assert registry.read_alias("iris", "champion") is None


def test_an_alias_record_copied_from_elsewhere_is_refused(client, registry, bucket):
    digest = published(client, registry, b"copied")
    registry.move_alias("iris", "champion", digest, expected=None, history=logged(registry, digest))
    content = client.get_object(Bucket=bucket, Key=alias_key("team-a", "iris", "champion"))["Body"].read()
    client.put_object(Bucket=bucket, Key=alias_key("team-a", "other", "champion"), Body=content)
    with pytest.raises(FailedError, match="made for another alias"):
        registry.read_alias("other", "champion")


@pytest.mark.parametrize("start", ["nothing", "something"])
def test_of_sixteen_writers_exactly_one_wins(minio, client, registry, start):
    digests = [published(client, registry, f"{start}{i}".encode()) for i in range(WRITERS)]
    logs = [logged(registry, digest, f"run-{i}") for i, digest in enumerate(digests)]
    key = StoreAccess(endpoint=minio.url, key=key_of(minio), region="us-east-1")
    writers = [
        Registry(open_store(key), registry._bucket, "team-a", by=f"writer-{i}") for i in range(WRITERS)
    ]
    if start == "something":
        registry.move_alias("iris", "champion", digests[0], expected=None, history=logs[0])
    for _ in range(5):
        if start == "nothing":
            client.delete_object(Bucket=registry._bucket, Key=alias_key("team-a", "iris", "champion"))
        expected = registry.read_alias("iris", "champion")
        together = Barrier(WRITERS)

        def move(index: int, expected=expected, together=together) -> str | None:
            together.wait(PATIENCE_SECONDS)
            try:
                writers[index].move_alias(
                    "iris", "champion", digests[index], expected=expected, history=logs[index]
                )
            except ConflictError as conflict:
                return str(conflict)
            return None

        with ThreadPoolExecutor(WRITERS) as pool:
            outcomes = list(pool.map(move, range(WRITERS)))
        [winner] = [index for index, words in enumerate(outcomes) if words is None]
        held = registry.read_alias("iris", "champion")
        assert (held.record.digest, held.record.by) == (digests[winner], f"writer-{winner}")
        named = f"writer-{winner} pointed it at {digests[winner][:12]} of run run-{winner} by move "
        assert all(named in words for words in outcomes if words is not None)


def test_a_retry_that_meets_its_own_write_is_no_conflict(client, registry, monkeypatch):
    digest = published(client, registry, b"retry")
    put = client.put_object

    def twice(**arguments):
        put(**arguments)
        return put(**arguments)

    monkeypatch.setattr(client, "put_object", twice)
    assert registry.append_history("iris", "promoted", digest, EarlierRecord()).number == 1
    assert registry.move_alias("iris", "champion", digest, expected=None, history=1).number == 1
    monkeypatch.undo()
    assert [entry.number for entry in registry.history("iris")] == [1]


def test_the_log_keeps_every_entry_of_sixteen_writers(minio, client, registry, bucket):
    digest = published(client, registry, b"log")

    def append(index):
        mine = Registry(
            open_store(StoreAccess(endpoint=minio.url, key=key_of(minio), region="us-east-1")),
            bucket,
            "team-a",
        )
        return mine.append_history("iris", "promoted", digest, EarlierRecord(reason=str(index))).number

    with ThreadPoolExecutor(16) as pool:
        numbers = list(pool.map(append, range(16)))
    assert sorted(numbers) == list(range(1, 17))
    assert sorted(int(entry.details.reason) for entry in registry.history("iris")) == list(range(16))


def test_a_log_entry_moved_to_another_number_is_refused(client, registry, bucket):
    digest = published(client, registry, b"entry")
    registry.append_history("iris", "promoted", digest, EarlierRecord())
    content = client.get_object(Bucket=bucket, Key=history_key("team-a", "iris", 1))["Body"].read()
    client.put_object(Bucket=bucket, Key=history_key("team-a", "iris", 2), Body=content)
    with pytest.raises(FailedError, match="another log"):
        registry.history("iris")


def test_each_cause_of_the_store_has_words_of_its_own(minio, client, registry):
    nobody = StoreKey(access_key="nobody", secret_key=key_of(minio).secret_key)
    wrong = StoreKey(access_key=minio.access_key, secret_key=nobody.access_key * 3)
    for opened, bucket, words in (
        (
            open_store(StoreAccess(endpoint=minio.url, key=nobody, region="us-east-1")),
            "runs",
            "does not know the access key",
        ),
        (
            open_store(StoreAccess(endpoint=minio.url, key=wrong, region="us-east-1")),
            "runs",
            "does not belong to the access key",
        ),
        (client, "no-such-bucket", "bucket does not exist"),
    ):
        with pytest.raises(FailedError, match=words):
            Registry(opened, bucket, "team-a").list_models()
    assert registry.list_models() == []


def test_a_store_that_is_down_is_said_to_be():
    key = StoreKey(access_key="a", secret_key="b" * 12)
    down = open_store(StoreAccess(endpoint="http://127.0.0.1:9", key=key, region="us-east-1"))
    with pytest.raises(FailedError, match="slipway status"):
        Registry(down, "models", "team-a").list_models()
