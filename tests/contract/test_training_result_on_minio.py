"""What a training job says of its promotion: figures with the baseline, or why it is left to a person."""

import json
from pathlib import Path

import pytest
from support.minio import running_minio
from support.promotions import CLASSES, FakeServing, emptied, key_of, promoter_on, table_text, write_run

from serving import rollout
from slipway.cli import render
from slipway.operations import training
from slipway.operations.training_job import Job
from storage.client import StoreAccess, open_store
from tabular.reader import inspect

pytestmark = pytest.mark.contract


@pytest.fixture
def promoter(tmp_path, monkeypatch):
    (tmp_path / "minio").mkdir()
    with running_minio(tmp_path / "minio") as minio:
        client = open_store(StoreAccess(endpoint=minio.url, key=key_of(minio), region="us-east-1"))
        emptied(client, "artifacts", "models", "data")
        made = promoter_on(minio, FakeServing(client), client)
        monkeypatch.setattr(rollout, "open_promoter", lambda *arguments: made)
        yield made
        client.close()


@pytest.fixture
def promote(promoter, tmp_path: Path):
    def promote(run_id: str, **changes: object) -> training.TrainedModel:
        write_run(promoter.store, run_id, **changes)
        path = tmp_path / "x.csv"
        path.write_bytes(changes.get("content") or table_text())
        done = training.TrainingRun(
            run_id=run_id,
            pipeline="training",
            state="SUCCEEDED",
            seconds=1.0,
            tasks=(),
            error=None,
            data=inspect(path),
        )
        job = Job(tenant="team-a", pipeline="training", model="churn")
        return training.promote(promoter.outputs, job, done)

    return promote


def test_the_figures_are_promotions_own(promote, capsys):
    result = promote("run-1")
    assert result.version
    assert (result.accuracy, result.rows, result.asked) == (1.0, 40, 40)
    assert result.baseline == 0.5
    assert set(result.expected.split(", ")) == set(CLASSES)
    assert result.expected == result.predicted
    render.trained(result)
    printed = capsys.readouterr().out
    assert "1.0000 on 40 held-out rows, measured by promotion" in printed
    assert f"0.5000 for always answering {result.most_frequent!r}" in printed
    body = json.loads(result.curl.rpartition(" -d ")[2].strip("'"))
    assert {each["shape"][0] for each in body["inputs"]} == {1}


def test_a_model_of_other_features_is_left_to_a_person(promote, promoter):
    assert promote("run-1").version
    applied = len(promoter.cluster.applied)
    result = promote("run-2", content=table_text(names="a,b,d"))
    assert result.version is None
    assert result.decision.startswith("not promoted: churn serves a model that this one can't simply replace")
    assert "slipway model promote --tenant team-a --run run-2 --replace" in result.decision
    assert len(promoter.cluster.applied) == applied
    assert promoter.promote_run("run-2", replace=True).promoted, "as it says"


def test_a_closed_gate_shows_the_figures_too(promote, promoter):
    result = promote("run-1", careless=True, threshold=0.99)
    assert result.version is None
    assert "is below 0.99" in result.decision
    assert result.accuracy < 0.99
    assert result.baseline == 0.5
    assert promoter.cluster.applied == []
