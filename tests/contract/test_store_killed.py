"""MinIO killed with SIGKILL in the middle: nothing is torn, and a rerun converges."""

import secrets
from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from support.candidates import lineage, staged_files
from support.faulty_store import Fault, FaultyStore, faulty_store
from support.minio import Minio, contents
from support.mortal_minio import MortalMinio, mortal_minio
from support.promotions import REFUSING, FakeServing, key_of, promoter_on, write_run

from serving.rollout import Promoter
from slipway.core.errors import FailedError, StoreError, UsageError
from storage.client import StoreAccess, open_store
from storage.keys import StoreKey
from storage.registry.registry import Registry

pytestmark = pytest.mark.contract
LONG_AGO = timedelta(hours=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MortalMinio]:
    with mortal_minio(tmp_path / "minio", ("artifacts", "models", "data")) as minio:
        yield minio


@pytest.fixture
def proxy(store: MortalMinio) -> Iterator[FaultyStore]:
    with faulty_store(store.server.endpoint) as between:
        yield between


def opened(url: str, key: StoreKey, **limits: Any) -> Any:
    return open_store(StoreAccess(endpoint=url, region="us-east-1", key=key), **limits)


def registry_on(minio: Minio, url: str = "", **limits: Any) -> Registry:
    return Registry(opened(url or minio.url, key_of(minio), **limits), "models", "team-a", by="a test")


# Upload


@pytest.mark.parametrize(
    "fault",
    [
        Fault(path="files/b.bin", keep_body=500_000),
        Fault(path="files/c.bin"),
        Fault(path="manifest.json"),
        Fault(path="manifest.json", keep_body=20),
    ],
    ids=["in a file", "between files", "before the manifest", "in the manifest"],
)
def test_a_store_killed_during_an_upload_has_no_version(store, proxy, tmp_path, fault):
    fault.method, fault.times, fault.before = "PUT", 1, store.kill
    proxy.faults = [fault]
    folder = tmp_path / "model"
    folder.mkdir()
    staged = staged_files(folder, {f"{name}.bin": secrets.token_bytes(1_000_000) for name in "abc"})
    made_from = lineage()
    with pytest.raises(StoreError) as caught:
        registry_on(store.server, proxy.url, retries=1).publish("churn", staged, made_from)
    assert caught.value.cause in ("cut", "unreachable")
    assert fault.times == 0, "it was killed where it should be"
    minio = store.start()
    clean = registry_on(minio)
    assert clean.list_versions("churn") == []
    with pytest.raises(UsageError, match="has no version"):
        clean.show("churn", staged.digest)
    names = [name for _, name in contents(minio)]
    assert not [name for name in names if "/aliases/" in name or "/history/" in name]
    assert not [name for name in names if name.endswith("manifest.json")]
    assert clean.publish("churn", staged, made_from).digest == staged.digest
    assert clean.list_versions("churn") == [staged.digest]
    assert clean.verify("churn", staged.digest).digest == staged.digest


# Promotion record


def promoter(minio: Minio, serving: FakeServing, url: str = "", **limits: Any) -> Promoter:
    return promoter_on(minio, serving, opened(url or minio.url, key_of(minio), **limits))


def champion(minio: Minio) -> str:
    held = registry_on(minio).read_alias("churn", "champion")
    assert held is not None
    return held.record.digest


POINTS = {
    "in the log entry": (Fault(path="/history/", keep_body=40), 1, False),
    "between log entry and alias": (Fault(path="/history/", lose_answer=True), 2, False),
    "before the alias": (Fault(path="/aliases/"), 2, False),
    "in the alias": (Fault(path="/aliases/", keep_body=40), 2, False),
    "after the alias": (Fault(path="/aliases/", lose_answer=True), 2, True),
}


@pytest.mark.parametrize(("point", "then"), list(product(POINTS, ["again", "another is refused"])))
def test_a_store_killed_in_a_promotion_has_one_of_the_aliases(store, proxy, point, then):
    shape, entries, moved = POINTS[point]
    minio = store.server
    clean_client = opened(minio.url, key_of(minio))
    serving = FakeServing(clean_client)
    old = write_run(clean_client, "run-1")
    promoter(minio, serving).promote_run("run-1")
    new = write_run(clean_client, "run-2", seed=2)
    write_run(clean_client, "run-3", seed=3)
    fault = Fault(method="PUT", path=shape.path, keep_body=shape.keep_body, lose_answer=shape.lose_answer)
    fault.times = 1
    fault.before, fault.after = (None, store.kill) if shape.lose_answer else (store.kill, None)
    proxy.faults = [fault]
    with pytest.raises(StoreError) as caught:
        promoter(minio, serving, proxy.url, retries=0).promote_run("run-2")
    assert caught.value.cause in ("cut", "unreachable")
    assert fault.times == 0, "it was killed where it should be"
    store.start()
    assert champion(minio) == (new if moved else old)
    log = registry_on(minio).history("churn")
    assert [entry.number for entry in log] == list(range(1, entries + 1))
    assert [entry.digest for entry in log] == [old, new][:entries]
    again = promoter(minio, serving)
    if then == "again":
        result = again.promote_run("run-2")
        assert (result.promoted, result.changed) == (True, not moved)
        assert champion(minio) == new
    else:
        serving.age("team-a/churn", LONG_AGO)
        assert not again.promote_run("run-3", REFUSING).promoted
        assert champion(minio) == (new if moved else old)
    assert f"/versions/{champion(minio)}/files" in serving.uri("team-a/churn"), "what serves is the alias's"


@pytest.mark.parametrize("path", ["/aliases/", "/history/"])
@pytest.mark.parametrize("lost", [1, 0])
def test_a_lost_answer_to_a_written_record_is_no_conflict(store, proxy, path, lost):
    minio = store.server
    client = opened(minio.url, key_of(minio))
    serving = FakeServing(client)
    write_run(client, "run-1")
    promoter(minio, serving).promote_run("run-1")
    new = write_run(client, "run-2", seed=2)
    proxy.faults = [Fault(method="PUT", path=path, lose_answer=True, times=lost)]
    result = promoter(minio, serving, proxy.url).promote_run("run-2")
    assert (result.digest, result.changed, result.number) == (new, True, 2)
    assert proxy.count("PUT", path) == 1 + lost, "the second attempt met the first"
    assert champion(minio) == new
    assert [entry.number for entry in registry_on(minio).history("churn")] == [1, 2]
    assert f"/versions/{new}/files" in serving.uri("team-a/churn")


def test_a_lost_answer_serves_what_the_alias_says(store, proxy):
    minio = store.server
    client = opened(minio.url, key_of(minio))
    serving = FakeServing(client)
    write_run(client, "run-1")
    promoter(minio, serving).promote_run("run-1")
    new = write_run(client, "run-2", seed=2)
    proxy.faults = [Fault(method="PUT", path="/aliases/", lose_answer=True)]
    with pytest.raises(FailedError, match=f"Version {new[:12]} serves") as caught:
        promoter(minio, serving, proxy.url, retries=1).promote_run("run-2")
    assert isinstance(caught.value, StoreError)
    assert caught.value.cause == "cut"
    assert champion(minio) == new
    assert [entry.number for entry in registry_on(minio).history("churn")] == [1, 2]
    assert not promoter(minio, serving).promote_run("run-2").changed
