"""What promotion refuses whatever the store takes: hostile keys, what would expire, damaged bytes."""

import json

import pytest
from botocore.exceptions import ClientError
from support.minio import running_minio
from support.promotions import (
    FakeServing,
    promoter_on,
    promotion_store,
    table_text,
    trained,
    write_run,
)

from slipway.core.errors import SlipwayError, StoreError
from storage.causes import Cause
from storage.layout import version_prefix

pytestmark = pytest.mark.contract
FOLDER = "team-a/runs/training/run-1/train/model/"
HOSTILE = [
    "..",
    "../escaped.onnx",
    "a/../../escaped.onnx",
    "/etc/passwd",
    "nul\x00.onnx",
    "back\\slash.onnx",
    "%2e%2e/escaped.onnx",
    "./model.onnx",
    "model.onnx.",
    "model.onnx ",
    "a /b.onnx",
    "a//b.onnx",
    "e\u0301.onnx",
    "MODEL.ONNX",
    "x" * 1025,
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("minio")


@pytest.fixture(scope="module")
def minio(data):
    with running_minio(data) as server:
        yield server


@pytest.fixture
def store(minio):
    with promotion_store(minio) as client:
        yield client


@pytest.fixture
def promoter(minio, store):
    return promoter_on(minio, FakeServing(store), store)


def refused(promoter, store, message: str) -> None:
    """Nothing was written or applied, and the message says why."""
    with pytest.raises(SlipwayError, match=message):
        promoter.promote_run("run-1")
    assert store.list_objects_v2(Bucket="models")["KeyCount"] == 0
    assert promoter.cluster.applied == []


class Listed:
    """A store that lists one more key than MinIO would take."""

    def __init__(self, client, key: str) -> None:
        self._client, self._key = client, key

    def __getattr__(self, name):
        return getattr(self._client, name)

    def get_paginator(self, name):
        pages, key = self._client.get_paginator(name), self._key

        class Paginator:
            def paginate(self, **named):
                yield from pages.paginate(**named)
                if FOLDER.startswith(named["Prefix"]):
                    yield {"Contents": [{"Key": FOLDER + key, "Size": 1}]}

        return Paginator()


@pytest.mark.parametrize("key", HOSTILE, ids=lambda key: ascii(key)[:20])
def test_a_model_that_holds_a_key_that_could_escape_is_refused(promoter, store, key):
    write_run(store, "run-1")
    try:
        store.put_object(Bucket="artifacts", Key=FOLDER + key, Body=b"x")
    except ClientError:
        promoter.store = Listed(store, key)
    refused(promoter, store, "can't name a file|differ only in case")


def test_the_same_run_without_it_is_promoted(promoter, store):
    digest = write_run(store, "run-1")
    assert promoter.promote_run("run-1").digest == digest


def test_a_version_that_a_lifecycle_would_take_is_not_promoted(promoter, store):
    digest = write_run(store, "run-1")
    rule = {"ID": "tidy-up", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}
    rules = {"Rules": [rule]}
    store.put_bucket_lifecycle_configuration(Bucket="models", LifecycleConfiguration=rules)
    refused(promoter, store, "Lifecycle rule 'tidy-up' of bucket models")
    store.delete_bucket_lifecycle(Bucket="models")
    assert promoter.promote_run("run-1").digest == digest


def test_the_gate_is_closed_where_the_lifecycle_cannot_be_read(promoter, store, monkeypatch):
    write_run(store, "run-1")

    def denied(**named):
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetBucketLifecycleConfiguration")

    monkeypatch.setattr(store, "get_bucket_lifecycle_configuration", denied)
    refused(promoter, store, "read the lifecycle of bucket models")


@pytest.mark.parametrize("size", [1_000, 300_000], ids=["inline", "in a part"])
def test_a_version_with_a_flipped_byte_is_not_promoted(promoter, store, data, size):
    pattern = b"flip-me-" * (size // 8)
    digest = write_run(store, "run-1", files={"schema.json": _schema(pattern)})
    promoter.promote_run("run-1")
    promoter.registry.verify("churn", digest)
    key = version_prefix("team-a", "churn", digest) + "files/schema.json"
    held = data / "objects" / "models" / key
    [found, *_] = [
        path for path in sorted(held.rglob("*")) if path.is_file() and b"flip-me-" in path.read_bytes()
    ]
    content = bytearray(found.read_bytes())
    content[content.rfind(b"flip-me-") + 3] ^= 1
    found.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=r"schema\.json") as raised:
        promoter.registry.verify("churn", digest)
    assert raised.value.cause is Cause.DAMAGED
    applied = len(promoter.cluster.applied)
    with pytest.raises(StoreError, match=r"schema\.json"):
        promoter.promote_run("run-1")
    assert len(promoter.cluster.applied) == applied


def _schema(pattern: bytes) -> bytes:
    """The schema of a run's model, with a parameter of so many bytes."""
    schema = json.loads(trained(table_text()).files["schema.json"])
    schema["parameters"]["note"] = pattern.decode()
    return json.dumps(schema).encode()
