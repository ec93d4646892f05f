"""A store that is full or lost a bit: nothing half is visible, and what is damaged goes nowhere."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support.candidates import lineage, staged_files
from support.drive import flip_byte, small_drive
from support.minio import Minio, contents
from support.mortal_minio import MortalMinio, mortal_minio
from support.promotions import FakeServing, key_of, promoter_on, write_run
from support.waiting import eventually

from slipway.core.errors import StoreError, UsageError
from storage.administration import open_admin
from storage.client import StoreAccess, open_store, translated_errors
from storage.registry.model_files import Staged
from storage.registry.registry import Registry

pytestmark = pytest.mark.contract
MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MortalMinio]:
    with mortal_minio(tmp_path / "minio", ("artifacts", "models", "data")) as minio:
        yield minio


def opened(minio: Minio) -> Any:
    return open_store(StoreAccess(endpoint=minio.url, region="us-east-1", key=key_of(minio)))


def registry_on(minio: Minio) -> Registry:
    return Registry(opened(minio), "models", "team-a", by="a test")


def publish(registry: Registry, staged: Staged) -> str:
    return registry.publish("churn", staged, lineage()).digest


def error_of(call: Callable[[], object], minio: Minio) -> StoreError:
    with pytest.raises(StoreError) as caught:
        call()
    assert minio.secret_key not in str(caught.value)
    assert caught.value.exit_code == 1
    return caught.value


def files(folder: Path, *sizes: int) -> Staged:
    folder.mkdir(exist_ok=True)
    return staged_files(folder, {f"{number}.bin": os.urandom(size) for number, size in enumerate(sizes)})


def publish_with_room(registry: Registry, staged: Staged) -> None:
    """Publish as soon as the store has noticed that it has room again: it looks only every so often."""

    def published() -> bool:
        try:
            publish(registry, staged)
        except StoreError as error:
            assert error.cause == "full"
            return False
        return True

    eventually(published, interval=0.5)


def assert_no_version(registry: Registry, digest: str) -> None:
    assert digest not in registry.list_versions("churn")
    with pytest.raises(UsageError, match="has no version"):
        registry.show("churn", digest)
    assert registry.history("churn") == []


def test_a_full_store_is_named_and_a_rerun_works_with_room(tmp_path):
    data = tmp_path / "minio"
    with small_drive(data / "objects", 48) as resize, mortal_minio(data, ("models",)) as store:
        minio = store.server
        registry = registry_on(minio)
        small = publish(registry, files(tmp_path / "small", 1000))
        large = files(tmp_path / "large", 16 * MIB, 16 * MIB, 16 * MIB)
        error = error_of(lambda: publish(registry, large), minio)
        assert (error.cause, error.what.partition(": ")[2]) == ("full", "the store is out of space.")
        # Its own code, or now and then an InternalError with the kernel's "no space left on device".
        assert error.why.startswith(("XMinioStorageFull: ", "InternalError: "))
        assert_no_version(registry_on(minio), large.digest)
        assert registry_on(minio).verify("churn", small).digest == small, "what was there is kept"
        resize(160)
        publish_with_room(registry, large)
        assert sorted(registry_on(minio).list_versions("churn")) == sorted([small, large.digest])


def test_every_answer_of_a_full_drive_reads_as_full(tmp_path):
    data = tmp_path / "minio"
    with small_drive(data / "objects", 48), mortal_minio(data) as store:
        minio = store.server
        client, root = opened(minio), minio.client()
        for bucket in ("artifacts", "models", "data"):
            root.create_bucket(Bucket=bucket)
        causes = Counter(fill(client, data / "objects"))
        assert set(causes) == {"full"}
        registry = registry_on(minio)
        staged = files(tmp_path / "model", MIB)
        assert error_of(lambda: publish(registry, staged), minio).cause == "full"
        assert_no_version(registry, staged.digest)
        for key in minio.keys("artifacts"):
            root.delete_object(Bucket="artifacts", Key=key)
        publish_with_room(registry, staged)
        assert registry.verify("churn", staged.digest).digest == staged.digest


def fill(client: Any, drive: Path) -> Iterator[str]:
    """Write objects, parts and records until nothing more fits, and tell the cause of each refusal."""
    upload = client.create_multipart_upload(Bucket="artifacts", Key="parts")["UploadId"]
    for size in (2 * MIB, 200_000, 5_000, 300):
        refused = 0
        for number in count():
            body = os.urandom(size)
            try:
                with translated_errors("write it"):
                    client.put_object(Bucket="artifacts", Key=f"{size}-{number}", Body=body, IfNoneMatch="*")
            except StoreError as error:
                refused += 1
                yield error.cause
            if refused == 20:
                break
    # To the last byte, which not the store but its neighbours on the drive take.
    with suppress(OSError), (drive / "neighbour").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    part = {"Bucket": "artifacts", "Key": "parts", "UploadId": upload, "PartNumber": 1}
    for call in (
        lambda: client.create_multipart_upload(Bucket="artifacts", Key="others"),
        lambda: client.upload_part(**part, Body=bytes(5 * MIB)),
        lambda: client.put_object(Bucket="models", Key="record", Body=b"{}", IfNoneMatch="*"),
    ):
        with pytest.raises(StoreError) as caught, translated_errors("write it"):
            call()
        yield caught.value.cause


def test_a_quota_that_is_used_up_says_so(store, tmp_path):
    minio = store.server
    admin = open_admin(minio.access)
    admin.bucket_quota_set("models", MIB)
    staged = files(tmp_path / "model", 1000, 2 * MIB)
    registry = registry_on(minio)
    error = error_of(lambda: publish(registry, staged), minio)
    assert (error.cause, error.what.partition(": ")[2]) == ("quota", "the bucket's quota is used up.")
    assert error.why.startswith("XMinioAdminBucketQuotaExceeded: ")
    assert_no_version(registry_on(minio), staged.digest)
    admin.bucket_quota_set("models", 1 << 30)
    assert publish(registry, staged) == staged.digest


DAMAGED = "the store can't read an object that it accepted before."


@pytest.mark.parametrize(
    ("size", "at"),
    [(1000, 500), (200_000, 100_000), (3 * MIB, 100), (3 * MIB, 2 * MIB + 100)],
    ids=["in its record", "in its only block", "in the first block", "in the last block"],
)
def test_a_byte_flipped_on_the_drive_is_found_by_verify(store, tmp_path, size, at):
    minio, registry = store.server, registry_on(store.server)
    staged = files(tmp_path / "model", size)
    digest = publish(registry, staged)
    assert registry.verify("churn", digest).digest == digest
    before = contents(minio)
    key = f"team-a/churn/versions/{digest}/files/0.bin"
    flip_byte(store.data, "models", key, (staged.folder / "0.bin").read_bytes(), at)
    error = error_of(lambda: registry.verify("churn", digest), minio)
    assert (error.cause, error.what) == ("damaged", f"Could not read {key}: {DAMAGED}")
    assert contents(minio) == before


@pytest.mark.parametrize(
    ("name", "says"),
    [("manifest.json", DAMAGED), ("files/0.bin", "Missing: ['0.bin']; unexpected: [].")],
)
def test_an_object_with_a_damaged_record_is_not_missing(store, tmp_path, name, says):
    minio, registry = store.server, registry_on(store.server)
    digest = publish(registry, files(tmp_path / "model", 1000))
    record = store.data / "objects" / "models" / f"team-a/churn/versions/{digest}" / name / "xl.meta"
    raw = bytearray(record.read_bytes())
    raw[40] ^= 1
    record.write_bytes(raw)
    error = error_of(lambda: registry.verify("churn", digest), minio)
    assert error.cause == "damaged"
    assert says in str(error)


def test_other_bytes_of_the_same_size_are_damage(store, tmp_path):
    minio, registry = store.server, registry_on(store.server)
    staged = files(tmp_path / "model", 1000)
    digest = publish(registry, staged)
    key = f"team-a/churn/versions/{digest}/files/0.bin"
    minio.client().put_object(Bucket="models", Key=key, Body=b"x" * 1000)
    error = error_of(lambda: registry.verify("churn", digest), minio)
    assert error.cause == "damaged"
    assert "was altered in the store" in error.what


def test_a_damaged_candidate_leaves_the_champion(store):
    minio = store.server
    client = opened(minio)
    serving = FakeServing(client)
    registry = registry_on(minio)
    promoter = promoter_on(minio, serving, client)
    old = write_run(client, "run-1")
    promoter.promote_run("run-1")
    new = write_run(client, "run-2", seed=2)
    key = "team-a/runs/training/run-2/train/model/model.onnx"
    content = minio.read("artifacts", key)
    before = contents(minio)
    flip_byte(store.data, "artifacts", key, content, len(content) // 2)
    error = error_of(lambda: promoter.promote_run("run-2"), minio)
    assert (error.cause, error.what) == ("damaged", f"Could not read {key}: {DAMAGED}")
    assert contents(minio) == before, "nothing was copied"
    held = registry_on(minio).read_alias("churn", "champion")
    assert held is not None
    assert (held.record.digest, held.record.number) == (old, 1)
    assert f"/versions/{old}/files" in serving.uri("team-a/churn")
    assert [entry.number for entry in registry.history("churn")] == [1]
    write_run(client, "run-2", seed=2)
    assert promoter.promote_run("run-2").digest == new
