"""Promotion without a cluster: a stateful stand-in for KServe, and runs put straight into a store."""

import hashlib
import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from pydantic import SecretStr
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from support.minio import Minio
from support.platform import outputs

from serving.inference import FIELD_MANAGER
from serving.rollout import Promoter
from storage.client import split_uri
from storage.errors import FailedError
from storage.keys import StoreKey
from storage.model_files import File, digest_of
from storage.registry import Registry

FEATURES = ["a", "b", "c"]
CLASSES = ["no", "yes"]


@dataclass
class FakeServing:
    """Serves what was applied last, unless told to fail; answers by loading the model that it serves."""

    store: Any
    fail_ready: set[str] = field(default_factory=set)
    wrong: bool = False
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

    def ask(self, url: str, rows: Sequence[Sequence[float]]) -> list[int]:
        name = url.rsplit("/", 1)[1]
        bucket, key = split_uri(self.uri(f"team-a/{name}"))
        content = self.store.get_object(Bucket=bucket, Key=f"{key}/model.pkl")["Body"].read()
        answers = pickle.loads(content).predict(np.array(rows)).tolist()
        return [1 - answer for answer in answers] if self.wrong else answers


def key_of(minio: Minio) -> StoreKey:
    return StoreKey(access_key=minio.access_key, secret_key=SecretStr(minio.secret_key))


def promoter_on(minio: Minio, serving: FakeServing, client: Any, **changes: Any) -> Promoter:
    """A promoter of team-a with the given client, and patience for a test."""
    registry = Registry(client, "models", "team-a", by="a test")
    patience = {"ask": serving.ask, "answer_seconds": 0.6} | changes
    return Promoter(outputs(minio.url), "team-a", serving, client, registry, **patience)


def emptied(client: Any, *buckets: str) -> None:
    """Make the buckets, or take away what another test left in them."""
    there = {found["Name"] for found in client.list_buckets()["Buckets"]}
    for bucket in buckets:
        if bucket not in there:
            client.create_bucket(Bucket=bucket)
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                client.delete_object(Bucket=bucket, Key=entry["Key"])


def write_run(store: Any, run_id: str, *, seed: int = 0, name: str = "churn", **changes: Any) -> str:
    """Leave a run's model, evaluation and candidate in the store, as the pipelines do. Returns the digest."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(80, 3))
    y = (x.sum(axis=1) > 0).astype("int64")
    fitted = Pipeline([("scale", StandardScaler()), ("classify", DecisionTreeClassifier(random_state=seed))])
    fitted.fit(x[:60], y[:60])
    files = {
        "model.pkl": pickle.dumps(fitted, 4),
        "schema.json": json.dumps({"features": FEATURES, "classes": CLASSES, "seed": seed}).encode(),
    } | changes.pop("files", {})
    root = f"team-a/runs/training/{run_id}"
    for path, content in files.items():
        store.put_object(Bucket="artifacts", Key=f"{root}/train/model/{path}", Body=content)
    digest = digest_of(_file(path, content) for path, content in files.items())
    predicted = fitted.predict(x[60:])
    accuracy = float((predicted == y[60:]).mean())
    samples = [
        {"features": row.tolist(), "label": int(label), "prediction": int(answer)}
        for row, label, answer in zip(x[60:70], y[60:70], predicted[:10], strict=True)
    ]
    candidate = {
        "schema_version": 1,
        "model": name,
        "model_uri": f"s3://artifacts/{root}/train/model",
        "model_digest": digest,
        "metrics": {"accuracy": accuracy, "f1_weighted": accuracy},
        "threshold": 0.5,
        "held_out_rows": 20,
        "samples": samples,
        "classes": CLASSES,
        "features": FEATURES,
        "frameworks": {},
        "data_uri": "s3://data/team-a/x.csv",
        "data_sha256": f"{seed:064x}",
        "run_id": changes.pop("run", run_id),
        "pipeline_version": "b" * 64,
        "git_commit": "c" * 40,
    } | changes
    body = json.dumps(candidate).encode()
    store.put_object(Bucket="artifacts", Key=f"{root}/condition-1/propose/candidate", Body=body)
    return digest


def _file(path: str, content: bytes) -> File:
    return File(path=path, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
