"""Promotion without a cluster: a stateful stand-in for KServe, and runs put straight into a store."""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import SecretStr
from support.minio import Minio
from support.platform import outputs

from serving.inference import FIELD_MANAGER
from serving.rollout import Promoter
from slipway.core.errors import FailedError
from storage.client import StoreAccess, open_store, split_uri
from storage.keys import StoreKey
from storage.registry.gates import Gates
from storage.registry.registry import Registry
from storage.registry.version_files import File, digest_of
from tabular import metrics, reader, training
from tabular.files import FILES
from tabular.model import Model
from tabular.predictions import Predictions
from tabular.schema import ModelSchema, ReadOptions, Split

CLASSES = ("no", "yes")
REFUSING = Gates(min_held_out_rows=10_000)
"""Gates that let nothing pass."""


@dataclass
class FakeServing:
    """Serves what was applied last, unless told to fail; answers by loading the model that it serves."""

    store: Any
    fail_ready: set[str] = field(default_factory=set)
    wrong: bool = False
    off_by: float = 0.0
    """Added to every probability."""
    applied: list[dict[str, Any]] = field(default_factory=list)
    live: dict[str, dict[str, Any]] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)

    def get(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.live.get(f"{namespace}/{name}")

    def apply(self, manifest: dict[str, Any]) -> None:
        name = f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"
        self.applied.append(manifest)
        ours = {"manager": FIELD_MANAGER, "time": datetime.now(UTC).isoformat()}
        self.live[name] = manifest | {"metadata": manifest["metadata"] | {"managedFields": [ours]}}

    def age(self, name: str, by: timedelta) -> None:
        """Let what is served have been applied so much earlier."""
        [ours] = self.live[name]["metadata"]["managedFields"]
        ours["time"] = (datetime.fromisoformat(ours["time"]) - by).isoformat()

    def delete(self, namespace: str, name: str) -> None:
        self.live.pop(f"{namespace}/{name}", None)
        self.deleted.append(name)

    def wait_serving(
        self, namespace: str, name: str, storage_uri: str, *, report: object, timeout: float
    ) -> None:
        assert self.uri(f"{namespace}/{name}") == storage_uri
        if any(digest in storage_uri for digest in self.fail_ready):
            raise FailedError("The new version can't become ready.", why="kserve-container exited with 1")

    def uri(self, name: str) -> str:
        return str(self.live[name]["spec"]["predictor"]["model"]["storageUri"])

    def ask(self, url: str, schema: ModelSchema, table: pa.Table) -> Predictions:
        name = url.rsplit("/", 1)[1]
        bucket, key = split_uri(self.uri(f"team-a/{name}"))
        files = {
            path: self.store.get_object(Bucket=bucket, Key=f"{key}/{path}")["Body"].read() for path in FILES
        }
        found = loaded(files).predict(table)
        labels = found.labels[::-1] if self.wrong else found.labels
        return Predictions(labels, found.probabilities + np.float32(self.off_by))


def key_of(minio: Minio) -> StoreKey:
    return StoreKey(access_key=minio.access_key, secret_key=SecretStr(minio.secret_key))


def promoter_on(
    minio: Minio,
    serving: FakeServing,
    client: Any,
    *,
    gates: Mapping[str, object] | None = None,
    **changes: Any,
) -> Promoter:
    """A promoter of team-a with the given client, and patience for a test."""
    registry = Registry(client, "models", "team-a", by="a test")
    patience = {"ask": serving.ask, "answer_seconds": 0.6} | changes
    return Promoter(outputs(minio.url, gates=gates), "team-a", serving, client, registry, **patience)


@contextmanager
def promotion_store(minio: Minio) -> Iterator[Any]:
    """A client of the store with empty buckets for runs, models and data."""
    client = open_store(StoreAccess(endpoint=minio.url, key=key_of(minio), region="us-east-1"))
    emptied(client, "artifacts", "models", "data")
    try:
        yield client
    finally:
        client.close()


def emptied(client: Any, *buckets: str) -> None:
    """Make the buckets, or take away what another test left in them."""
    there = {found["Name"] for found in client.list_buckets()["Buckets"]}
    for bucket in buckets:
        if bucket not in there:
            client.create_bucket(Bucket=bucket)
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                client.delete_object(Bucket=bucket, Key=entry["Key"])


def table_text(*, seed: int = 0, rows: int = 200, noise: float = 0.0, names: str = "a,b,c") -> bytes:
    """A CSV file of three numbers and two classes that the first number tells apart, but for the noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 3)).round(4)
    x[:, 0] = np.where(np.arange(rows) % 2 == 0, x[:, 0] - 10, x[:, 0] + 10)
    labels = np.where((x[:, 0] > 0) ^ (random.random(rows) < noise), CLASSES[1], CLASSES[0])
    lines = [f"{a},{b},{c},{label}" for (a, b, c), label in zip(x, labels, strict=True)]
    return "\n".join([f"{names},target", *lines, ""]).encode()


@dataclass(frozen=True)
class Trained:
    """What a run's steps make of a file: the model's files and their figures."""

    files: Mapping[str, bytes]
    metrics: Mapping[str, float]
    held_out_rows: int


@cache
def trained(content: bytes, *, seed: int = 0, split: Split | None = None, careless: bool = False) -> Trained:
    """Train on a file as the steps do. A careless run learns from a quarter of wrong labels."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        path.write_bytes(content)
        data = reader.training_data(path, ReadOptions(), split or Split())
        train = data.table.filter(pa.array(~data.held_out))
        if careless:
            wrong = np.random.default_rng(0).random(train.num_rows) < 0.25
            labels = [
                CLASSES[1 - CLASSES.index(label)] if flip else label
                for label, flip in zip(train["target"].to_pylist(), wrong, strict=True)
            ]
            train = train.set_column(train.column_names.index("target"), "target", pa.array(labels))
        training.fit(train, data.schema, training.Parameters("decision-tree", seed=seed)).write(Path(folder))
        files = {name: (Path(folder) / name).read_bytes() for name in FILES}
    rows = data.table.filter(pa.array(data.held_out))
    answers = loaded(files).predict(rows).labels
    found = metrics.score(rows["target"].to_pylist(), answers, data.schema.classes)
    return Trained(files, dict(found.metrics), found.rows)


def loaded(files: Mapping[str, bytes]) -> Model:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        return Model.load(Path(folder))


def write_run(
    store: Any,
    run_id: str,
    *,
    seed: int = 0,
    name: str = "churn",
    content: bytes | None = None,
    split: Split | None = None,
    careless: bool = False,
    **changes: Any,
) -> str:
    """Leave a run's data, model and candidate in the store, as the pipelines do. Returns the model's digest.

    `files` replaces files of the model, any other change a field of the candidate.
    """
    content = table_text() if content is None else content
    made = trained(content, seed=seed, split=split, careless=careless)
    sha256 = hashlib.sha256(content).hexdigest()
    data_key = f"team-a/{sha256}/churn.csv"
    store.put_object(Bucket="data", Key=data_key, Body=content)
    files = dict(made.files) | changes.pop("files", {})
    root = f"team-a/runs/training/{run_id}"
    for path, body in files.items():
        store.put_object(Bucket="artifacts", Key=f"{root}/train/model/{path}", Body=body)
    digest = digest_of(_file(path, body) for path, body in files.items())
    candidate = {
        "schema_version": 2,
        "model": name,
        "model_uri": f"s3://artifacts/{root}/train/model",
        "model_digest": digest,
        "data_uri": f"s3://data/{data_key}",
        "data_sha256": sha256,
        "run_id": changes.pop("run", run_id),
        "pipeline_digest": "b" * 64,
        "git_commit": "c" * 40,
        "metrics": dict(made.metrics),
        "differing_rows": 0,
        "threshold": 0.5,
        "held_out_rows": made.held_out_rows,
    } | changes
    body = json.dumps(candidate).encode()
    store.put_object(Bucket="artifacts", Key=f"{root}/condition-1/propose/candidate", Body=body)
    return digest


def _file(path: str, content: bytes) -> File:
    return File(path=path, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
