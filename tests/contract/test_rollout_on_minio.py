"""Promotion with a real store and a stateful stand-in for KServe: every failure keeps the old version."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest
from support.platform import outputs
from support.promotions import (
    REFUSING,
    FakeServing,
    key_of,
    loaded,
    promoter_on,
    promotion_store,
    table_text,
    trained,
    write_run,
)
from support.waiting import PATIENCE_SECONDS

from serving.rollout import ConflictError, Promoter
from slipway.core.errors import FailedError, UsageError
from storage.client import StoreAccess, open_store
from storage.registry.gates import Gates
from storage.registry.promotion_record import PromotionRecord
from storage.registry.registry import Registry

pytestmark = pytest.mark.contract


@pytest.fixture
def store(minio):
    with promotion_store(minio) as client:
        yield client


@pytest.fixture
def serving(store):
    return FakeServing(store)


@pytest.fixture
def promoter(minio, store, serving):
    return promoter_on(minio, serving, store)


def champion(promoter) -> str | None:
    held = promoter.registry.read_alias("churn", "champion")
    return held.record.digest if held else None


def serves(promoter, digest: str) -> bool:
    return f"/versions/{digest}/files" in promoter.cluster.uri("team-a/churn")


def test_the_first_promotion_names_the_champion(promoter, store):
    digest = write_run(store, "run-1")
    result = promoter.promote_run("run-1")
    assert (result.promoted, result.changed, result.digest, result.number) == (True, True, digest, 1)
    assert result.smoke.rows == result.smoke.agreed == 40
    assert champion(promoter) == digest
    assert serves(promoter, digest)
    [entry] = promoter.registry.history("churn")
    assert entry.details.manifest["metadata"]["annotations"]["slipway.dev/run-id"] == "run-1"
    assert set(result.seconds) == {"check and copy", "evaluate", "roll out", "first answer"}
    record = entry.details
    assert isinstance(record, PromotionRecord)
    assert record.candidate.run_id == "run-1"
    assert record.evaluation == result.evaluation
    found = record.evaluation.held_out
    assert (found.rows, found.data_sha256) == (40, record.candidate.data_sha256)
    assert record.evaluation.metrics == record.evaluation.reported == {"accuracy": 1.0, "f1_weighted": 1.0}
    assert record.evaluation.baseline["accuracy"] < 0.6
    assert (record.replaced, record.previous, record.gates) == ("", None, Gates())


def test_the_next_promotion_replaces_the_champion(promoter, store):
    one, two = write_run(store, "run-1"), write_run(store, "run-2", seed=2)
    promoter.promote_run("run-1")
    result = promoter.promote_run("run-2", pipeline="training")
    assert (result.previous_digest, result.digest, result.number) == (one, two, 2)
    again = promoter.promote_run("run-2")
    assert (again.promoted, again.changed, again.number) == (True, False, 2)
    assert [entry.number for entry in promoter.registry.history("churn")] == [1, 2]
    assert serves(promoter, two)


def test_a_run_below_its_threshold_promotes_nothing(promoter, store):
    evaluation = {
        "confusion": [[1, 0], [0, 1]],
        "held_out_rows": 20,
        "metrics": {"accuracy": 0.4},
        "baseline": {"accuracy": 0.5},
        "majority": "no",
        "few": {},
        "differing_rows": 0,
        "model_digest": "a" * 64,
        "passed": False,
        "threshold": 0.85,
    }
    store.put_object(
        Bucket="artifacts",
        Key="team-a/runs/training/run-9/evaluate/evaluation",
        Body=json.dumps(evaluation).encode(),
    )
    result = promoter.promote_run("run-9")
    assert not result.promoted
    assert "accuracy 0.4000 on 20 held-out rows, threshold 0.85" in result.reason
    assert promoter.cluster.applied == []


def test_the_gates_may_refuse_what_the_run_let_pass(promoter, store):
    write_run(store, "run-1")
    result = promoter.promote_run("run-1", REFUSING)
    assert not result.promoted
    assert "evaluated on 40 rows; at least 10000 are demanded" in result.reason
    assert promoter.cluster.applied == []
    assert promoter.registry.list_models() == []


def test_a_run_that_does_not_exist_is_a_usage_error(promoter):
    with pytest.raises(UsageError, match="left nothing"):
        promoter.promote_run("nope")
    with pytest.raises(UsageError, match="not a run's id"):
        promoter.promote_run("../run-1")


@pytest.mark.parametrize("fault", ["ready", "wrong answers", "log", "alias"])
def test_whatever_fails_the_old_version_serves(promoter, store, serving, monkeypatch, fault):
    old = write_run(store, "run-1")
    promoter.promote_run("run-1")
    new = write_run(store, "run-2", seed=2)

    def broken(*arguments, **named):
        raise FailedError("The store refused.", why="out of space")

    if fault == "ready":
        serving.fail_ready.add(new)
    elif fault == "wrong answers":
        serving.wrong = True
    elif fault == "log":
        monkeypatch.setattr(promoter.registry, "append_history", broken)
    else:
        monkeypatch.setattr(promoter.registry, "move_alias", broken)
    with pytest.raises(FailedError, match=f"Version {old[:12]} serves") as raised:
        promoter.promote_run("run-2")
    assert raised.value.exit_code == 1
    monkeypatch.undo()
    assert champion(promoter) == old
    assert serves(promoter, old)
    serving.fail_ready.clear()
    serving.wrong = False
    assert promoter.promote_run("run-2").digest == new
    assert champion(promoter) == new


def test_a_first_promotion_that_fails_leaves_no_endpoint(promoter, store, serving):
    serving.fail_ready.add(write_run(store, "run-1"))
    with pytest.raises(FailedError, match=r"exited with 1 .* endpoint was removed"):
        promoter.promote_run("run-1")
    assert serving.live == {}
    assert champion(promoter) is None


def test_an_interrupt_puts_the_old_manifest_back(promoter, store, serving, monkeypatch):
    old = write_run(store, "run-1")
    promoter.promote_run("run-1")
    write_run(store, "run-2", seed=2)

    def interrupt(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(serving, "wait_serving", interrupt)
    with pytest.raises(KeyboardInterrupt):
        promoter.promote_run("run-2")
    assert serves(promoter, old)


def test_the_champion_comes_back_with_the_settings_of_today(promoter, store, serving):
    old = write_run(store, "run-1")
    promoter.promote_run("run-1")
    serving_now = promoter.outputs.serving.model_copy(update={"model_cpu": "2", "model_memory": "2Gi"})
    present = promoter.outputs.model_copy(update={"serving": serving_now})
    serving.fail_ready.add(write_run(store, "run-2", seed=2))
    with pytest.raises(FailedError, match=r"exited with 1"):
        replace(promoter, outputs=present).promote_run("run-2")
    assert serves(promoter, old)
    live = serving.live["team-a/churn"]
    assert live["spec"]["predictor"]["model"]["resources"]["limits"] == serving_now.limits
    assert live["metadata"]["annotations"]["slipway.dev/run-id"] == "run-1"


class Patient:
    """Takes no notice of who was applied last: the race under test is the alias's."""

    def __init__(self, inner: FakeServing) -> None:
        self.apply, self.delete, self.get = inner.apply, inner.delete, inner.get

    def wait_serving(self, *arguments, **named):
        return None


def test_of_concurrent_promotions_one_wins(minio, store, serving):
    runs = {f"run-{seed}": write_run(store, f"run-{seed}", seed=seed) for seed in range(1, 5)}
    together = Barrier(len(runs))

    def promote(run_id: str) -> str:
        mine = open_store(StoreAccess(endpoint=minio.url, key=key_of(minio), region="us-east-1"))
        seed = int(run_id.removeprefix("run-"))

        def ask(url, schema, table):
            together.wait(PATIENCE_SECONDS)  # everybody has read the alias by now, and nobody has moved it
            return loaded(trained(table_text(), seed=seed).files).predict(table)

        registry = Registry(mine, "models", "team-a")
        promoter = Promoter(outputs(minio.url), "team-a", Patient(serving), mine, registry, ask=ask)
        try:
            promoter.promote_run(run_id)
        except ConflictError:
            return "conflict"
        return "won"

    with ThreadPoolExecutor(len(runs)) as pool:
        ends = dict(zip(runs, pool.map(promote, runs), strict=True))
    [winner] = [run_id for run_id, end in ends.items() if end == "won"]
    held = Registry(store, "models", "team-a").read_alias("churn", "champion")
    assert (held.record.digest, held.record.number) == (runs[winner], 1)
    assert f"/versions/{runs[winner]}/" in serving.uri("team-a/churn")


def test_an_unexplained_champion_closes_the_gate(promoter, store):
    write_run(store, "run-1")
    promoter.promote_run("run-1")
    store.delete_object(Bucket="models", Key="team-a/churn/history/00000001.json")
    write_run(store, "run-2", seed=2)
    with pytest.raises(FailedError, match="does not say how its champion got there"):
        promoter.promote_run("run-2")


LONG_AGO = timedelta(hours=1)


class KilledError(BaseException):
    """Stands for a process that is gone."""


@pytest.fixture
def kill(promoter, monkeypatch):
    """Promote a run, and be killed before the alias is moved: nothing is put back."""

    def promote(run_id: str, at: str = "move_alias") -> None:
        def gone(*arguments, **named):
            raise KilledError

        with monkeypatch.context() as patch:
            patch.setattr(promoter.registry, at, gone)
            patch.setattr(promoter, "_reinstate", lambda *arguments: None)
            with pytest.raises(KilledError):
                promoter.promote_run(run_id)

    promoter.lines = []
    promoter.report = promoter.lines.append
    return promote


def reports(promoter, text: str) -> bool:
    return any(text in line for line in promoter.lines)


@pytest.mark.parametrize("at", ["append_history", "move_alias"])
@pytest.mark.parametrize("first", [True, False])
def test_a_killed_promotion_converges_on_a_rerun(promoter, store, kill, at, first):
    if not first:
        write_run(store, "run-1")
        promoter.promote_run("run-1")
    new = write_run(store, "run-2", seed=2)
    kill("run-2", at)
    assert serves(promoter, new)
    assert champion(promoter) != new
    result = promoter.promote_run("run-2")
    assert (result.changed, result.digest, result.number) == (True, new, 1 if first else 2)
    assert reports(promoter, f"version {new[:12]} is served, but ")
    assert champion(promoter) == new
    assert serves(promoter, new)
    promoter.lines.clear()
    assert not promoter.promote_run("run-2").changed
    assert not reports(promoter, "is served, but")


@pytest.mark.parametrize("run_id", ["run-1", "run-3"])
def test_the_next_promotion_replaces_what_a_killed_one_left(promoter, store, kill, run_id):
    old = write_run(store, "run-1")
    promoter.promote_run("run-1")
    left = write_run(store, "run-2", seed=2)
    digest = old if run_id == "run-1" else write_run(store, "run-3", seed=3)
    kill("run-2")
    result = promoter.promote_run(run_id)
    assert reports(promoter, f"version {left[:12]} is served, but the champion is {old[:12]}")
    assert (result.previous_digest, result.changed) == (old, digest != old)
    assert champion(promoter) == digest
    assert serves(promoter, digest)


def test_a_failure_after_a_killed_one_reinstates_the_champion(promoter, store, serving, kill):
    old = write_run(store, "run-1")
    promoter.promote_run("run-1")
    write_run(store, "run-2", seed=2)
    kill("run-2")
    serving.fail_ready.add(write_run(store, "run-3", seed=3))
    with pytest.raises(FailedError, match=f"Version {old[:12]} serves"):
        promoter.promote_run("run-3")
    assert serves(promoter, old)


@pytest.mark.parametrize("first", [True, False])
def test_a_kept_champion_is_put_back_if_nobody_else_works(promoter, store, serving, kill, first):
    old = None if first else write_run(store, "run-1")
    if old:
        promoter.promote_run("run-1")
    left = write_run(store, "run-2", seed=2)
    write_run(store, "run-3", seed=3)
    kill("run-2")
    refusing = REFUSING
    assert not promoter.promote_run("run-3", refusing).promoted
    assert reports(promoter, "a promotion was cut off or is under way")
    assert serves(promoter, left)
    serving.age("team-a/churn", LONG_AGO)
    assert not promoter.promote_run("run-3", refusing).promoted
    assert reports(promoter, "an earlier promotion was cut off")
    assert champion(promoter) == old
    if old:
        assert reports(promoter, f"Version {old[:12]} serves.")
        assert serves(promoter, old)
    else:
        assert reports(promoter, "the endpoint was removed")
        assert serving.live == {}


def test_an_endpoint_that_somebody_deleted_comes_back(promoter, store, serving, kill):
    old = write_run(store, "run-1")
    promoter.promote_run("run-1")
    serving.delete("team-a", "churn")
    write_run(store, "run-2", seed=2)
    promoter.promote_run("run-2", REFUSING)
    assert reports(promoter, f"nothing is served, but the champion is {old[:12]}")
    assert serves(promoter, old)


def test_a_service_that_is_nobodys_promotion_is_left_alone(promoter, store, serving, kill):
    serving.live["team-a/churn"] = {"metadata": {"name": "churn"}}
    write_run(store, "run-1")
    assert not promoter.promote_run("run-1", REFUSING).promoted
    assert list(serving.live) == ["team-a/churn"]
    assert not reports(promoter, "is served, but")


def test_a_champion_moved_during_a_reinstatement_is_served(promoter, store, serving, monkeypatch):
    write_run(store, "run-1")
    promoter.promote_run("run-1")
    new = write_run(store, "run-2", seed=2)
    serving.fail_ready.add(write_run(store, "run-3", seed=3))
    waited = serving.wait_serving

    def overtaken(namespace, name, storage_uri, **named):
        if len(serving.applied) == 3:  # run-1, run-3, and run-1 again
            monkeypatch.setattr(serving, "wait_serving", waited)
            other = Promoter(promoter.outputs, "team-a", serving, store, promoter.registry, ask=serving.ask)
            other.promote_run("run-2")
            serving.apply(serving.applied[2])
        else:
            waited(namespace, name, storage_uri, **named)

    monkeypatch.setattr(serving, "wait_serving", overtaken)
    with pytest.raises(FailedError, match=f"Version {new[:12]} serves"):
        promoter.promote_run("run-3")
    assert champion(promoter) == new
    assert serves(promoter, new)
