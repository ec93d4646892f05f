"""The gate evaluates for itself: what a run says of its model, its data or its figures opens nothing."""

import json
from typing import Any

import pytest
from support.promotions import (
    FakeServing,
    promoter_on,
    promotion_store,
    table_text,
    trained,
    write_run,
)

from slipway.core.errors import FailedError, SlipwayError, UsageError
from tabular.schema import Split

pytestmark = pytest.mark.contract
CARELESS = trained(table_text(), careless=True).metrics["accuracy"]
RUN = "team-a/runs/training/run-1"
OTHER_SPLIT = Split(test_split=0.5, seed=7)


@pytest.fixture
def store(minio):
    with promotion_store(minio) as client:
        yield client


@pytest.fixture
def promoter(minio, store):
    return promoter_on(minio, FakeServing(store), store)


def models(store) -> dict[str, str]:
    listed = store.list_objects_v2(Bucket="models").get("Contents", [])
    return {entry["Key"]: entry["ETag"] for entry in listed}


def schema(**changes: Any) -> bytes:
    """The schema of a run's model, with other fields."""
    return json.dumps(json.loads(trained(table_text()).files["schema.json"]) | changes).encode()


def with_feature(**changes: Any) -> bytes:
    [first, *others] = json.loads(trained(table_text()).files["schema.json"])["features"]
    return schema(features=[first | changes, *others])


BAD = {
    "a graph that can't be read": (
        {"files": {"model.onnx": b"\x80\x04N."}},
        "model.onnx is not a permitted model",
    ),
    "a file that a server would import": ({"files": {"model-settings.json": b"{}"}}, "model-settings"),
    "a pickle beside the model": ({"files": {"model.pkl": b"\x80\x04N."}}, "pickles are not served"),
    "an empty schema": ({"files": {"schema.json": b"{}"}}, "not a valid model schema"),
    "a schema of other classes": (
        {"files": {"schema.json": schema(classes=["a", "b"])}},
        "not a permitted model",
    ),
    "a schema of other names": ({"files": {"schema.json": with_feature(name="z")}}, "does not describe"),
    "a schema of other rows": (
        {"files": {"schema.json": schema(rows={"train": 199, "held_out": 1})}},
        "Its rows is .*held_out=1.* has .*held_out=40",
    ),
    "a schema of other data": ({"files": {"schema.json": schema(data_sha256="0" * 64)}}, "data_sha256"),
    "a schema with another split": (
        {"files": {"schema.json": schema(split={"test_split": 0.05, "seed": 1})}},
        "does not describe its data",
    ),
    "a target that is not there": (
        {"files": {"schema.json": schema(read={"target": "nothing"})}},
        "can't be evaluated on. There is no column 'nothing'",
    ),
    "another digest": ({"model_digest": "e" * 64}, "not the one that was evaluated"),
    "another tenant's model": ({"model_uri": "s3://artifacts/team-ab/runs/x"}, "model is not team-a's"),
    "a model outside the runs": (
        {"model_uri": "s3://artifacts/team-a/runs/../../x"},
        "model is not team-a's",
    ),
    "another tenant's data": ({"data_uri": "s3://data/team-ab/x.csv"}, "data is not team-a's"),
    "data out of the tenant's folder": (
        {"data_uri": "s3://data/team-a/../team-ab/x.csv"},
        "data is not team-a's",
    ),
    "data that a run wrote": ({"data_uri": f"s3://artifacts/{RUN}/x.csv"}, "data is not team-a's"),
    "data that is nowhere": ({"data_uri": "s3://data/team-a/gone.csv"}, "does not exist"),
    "an invented data digest": ({"data_sha256": "e" * 64}, "not the data that the run names"),
    "a data digest that is none": ({"data_sha256": "unknown"}, "not a valid record"),
    "no held-out rows": ({"held_out_rows": 0}, "the run reports 0, promotion measured 40"),
    "figures without a metric": ({"metrics": {}}, "accuracy: the run reports nothing"),
    "a figure of its own": (
        {"metrics": {"accuracy": 1.0, "f1_weighted": 1.0, "recall": 1.0}},
        "recall: .*measured nothing",
    ),
    "a name that can't be served": ({"model": "Bad Name"}, "can't name a model"),
    "a commit that can't be shown": ({"git_commit": "a b"}, "can't be a value of the annotation"),
    "the record of another run": ({"run": "run-2"}, "names run run-2"),
    "an unknown field": ({"surprise": 1}, "not a valid record"),
    "a record of version 1": ({"schema_version": 1}, "schema_version"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_candidate_is_refused_before_anything_is_applied(promoter, store, case):
    changes, message = BAD[case]
    write_run(store, "run-1", **changes)
    with pytest.raises(SlipwayError, match=message):
        promoter.promote_run("run-1")
    assert promoter.cluster.applied == []
    assert models(store) == {}
    digest = write_run(store, "run-3")
    assert promoter.promote_run("run-3").digest == digest, "the same run without it is promoted"


def test_a_candidate_written_by_hand_does_not_open_the_gate(promoter, store):
    honest = write_run(store, "run-1", careless=True)
    perfect = {"metrics": {"accuracy": 1.0, "f1_weighted": 1.0}, "threshold": 0.0}
    for forged, message in (
        (perfect, f"accuracy: the run reports 1, promotion measured {CARELESS:g}"),
        (perfect | {"held_out_rows": 1}, "held-out rows: the run reports 1, promotion measured 40"),
        (perfect | {"held_out_rows": 1, "data_sha256": "d" * 64}, "not the data that the run names"),
    ):
        write_run(store, "run-1", careless=True, **forged)
        with pytest.raises(FailedError, match=message):
            promoter.promote_run("run-1")
    assert promoter.cluster.applied == []
    assert models(store) == {}
    write_run(store, "run-1", careless=True)
    assert promoter.promote_run("run-1").digest == honest, "what it really reaches passes its threshold"


def test_data_that_was_replaced_closes_the_gate(promoter, store):
    digest = write_run(store, "run-1")
    [entry] = store.list_objects_v2(Bucket="data")["Contents"]
    store.put_object(Bucket="data", Key=entry["Key"], Body=table_text(seed=1))
    with pytest.raises(FailedError, match="not the data that the run names"):
        promoter.promote_run("run-1")
    assert promoter.cluster.applied == []
    write_run(store, "run-1")
    assert promoter.promote_run("run-1").digest == digest


def test_a_run_lowers_no_gate_of_its_tenant(minio, store):
    strict = {"minimums": {"accuracy": 0.9}}
    promoter = promoter_on(minio, FakeServing(store), store, gates=strict)
    write_run(store, "run-1", careless=True, threshold=0.0)
    result = promoter.promote_run("run-1")
    assert (result.promoted, result.reason) == (False, f"accuracy {CARELESS:.4f} is below 0.9")
    assert promoter.cluster.applied == []
    assert models(store) == {}
    write_run(store, "run-2")
    assert promoter.promote_run("run-2").promoted


def test_a_model_is_held_against_the_champion_on_the_same_rows(promoter, store):
    write_run(store, "run-1")
    assert promoter.promote_run("run-1").promoted
    before, applied = models(store), len(promoter.cluster.applied)
    write_run(store, "run-2", careless=True)
    result = promoter.promote_run("run-2", replace=True)
    assert result.reason == f"accuracy {CARELESS:.4f} is below the champion's 1.0000 on the same 40 rows"
    assert (models(store), len(promoter.cluster.applied)) == (before, applied)


def test_another_data_digest_does_not_skip_the_champion(promoter, store):
    write_run(store, "run-1")
    assert promoter.promote_run("run-1").promoted
    write_run(store, "run-2", content=table_text(seed=5), careless=True)
    result = promoter.promote_run("run-2")
    assert not result.promoted
    assert "below the champion's 1.0000 on the same 40 rows" in result.reason
    assert result.evaluation.champion.unseen, "it was trained on none of these rows"


def test_rows_of_its_training_do_not_count_for_a_champion(promoter, store):
    noisy = table_text(noise=0.1, rows=400)
    write_run(store, "run-1", content=noisy)
    first = promoter.promote_run("run-1")
    assert first.evaluation.metrics["accuracy"] < 0.95
    write_run(store, "run-2", content=noisy, split=OTHER_SPLIT, seed=2)
    result = promoter.promote_run("run-2")
    compared = result.evaluation.champion
    assert compared.unseen
    assert 10 <= compared.rows < result.evaluation.held_out.rows
    assert compared.metrics["accuracy"] < 0.95, "it does not know them by heart"


def test_a_person_may_accept_a_champion_that_knew_the_rows(promoter, store):
    noisy = table_text(noise=0.15, rows=100)
    write_run(store, "run-1", content=noisy)
    promoter.promote_run("run-1")
    [known] = [seed for seed in range(2, 60) if _few_unseen(noisy, Split(test_split=0.15, seed=seed)) < 10][
        :1
    ]
    write_run(store, "run-2", content=noisy, split=Split(test_split=0.15, seed=known))
    refused = promoter.promote_run("run-2")
    assert not refused.promoted
    assert "some of which it was trained on; --replace accepts that" in refused.reason
    accepted = promoter.promote_run("run-2", replace=True)
    assert accepted.promoted
    assert "trained on" in accepted.replaced
    record = promoter.registry.history("churn")[-1].details
    assert record.replaced == accepted.replaced


def _few_unseen(content: bytes, split: Split) -> int:
    import tempfile
    from pathlib import Path

    from tabular import reader

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        path.write_bytes(content)
        one, other = (reader.training_data(path, None, each).held_out for each in (None, split))
    return int((one & other).sum())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (table_text(names="a,b,d"), r"features are a \(number\), b \(number\), d \(number\)"),
        (table_text(names="b,a,c"), "features are b"),
        (table_text().replace(b"yes", b"maybe"), "Its classes are maybe, no; the champion's are no, yes"),
    ],
    ids=["a name", "an order", "a class"],
)
def test_a_model_that_answers_other_questions_needs_replace(promoter, store, content, words):
    old = write_run(store, "run-1")
    promoter.promote_run("run-1")
    before, applied = models(store), len(promoter.cluster.applied)
    new = write_run(store, "run-2", content=content)
    with pytest.raises(UsageError, match=words) as caught:
        promoter.promote_run("run-2")
    assert caught.value.exit_code == 2
    assert "--replace" in caught.value.fix
    assert (models(store), len(promoter.cluster.applied)) == (before, applied)
    result = promoter.promote_run("run-2", replace=True)
    assert (result.digest, result.previous_digest) == (new, old)
    record = promoter.registry.history("churn")[-1].details
    assert record.replaced == result.replaced
    assert "champion's are" in record.replaced


def test_a_champion_that_can_not_be_read_needs_replace(promoter, store):
    old = write_run(store, "run-1")
    promoter.promote_run("run-1")
    store.put_object(Bucket="models", Key=f"team-a/churn/versions/{old}/files/model.onnx", Body=b"x")
    new = write_run(store, "run-2", seed=2)
    with pytest.raises(UsageError, match="The champion can't be evaluated"):
        promoter.promote_run("run-2")
    result = promoter.promote_run("run-2", replace=True)
    assert (result.digest, "can't be evaluated" in result.replaced) == (new, True)


def test_the_gates_may_compare_with_no_champion(minio, store):
    promoter = promoter_on(minio, FakeServing(store), store, gates={"compare": "never"})
    write_run(store, "run-1")
    promoter.promote_run("run-1")
    write_run(store, "run-2", careless=True)
    result = promoter.promote_run("run-2")
    assert result.promoted
    assert "compare with no champion" in result.reason


@pytest.mark.parametrize("off_by", [2e-5, float("nan")])
def test_an_endpoint_with_other_probabilities_is_not_promoted(promoter, store, off_by):
    write_run(store, "run-1")
    promoter.cluster.off_by = off_by
    with pytest.raises(FailedError, match="does not answer as the evaluated model did"):
        promoter.promote_run("run-1")
    promoter.cluster.off_by = 5e-6
    assert promoter.promote_run("run-1").smoke.largest_difference <= 1e-5
