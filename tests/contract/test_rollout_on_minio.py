"""Promotion with a real store and a stateful stand-in for KServe: every failure keeps the old version."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from support.minio import running_minio
from support.pickle_corpus import CORPUS
from support.platform import outputs
from support.promotions import FakeServing, emptied, key_of, promoter_on, write_run

from serving.promotion import Rules
from serving.rollout import ConflictError, Promoter
from storage.client import StoreAccess, open_store
from storage.errors import FailedError, UsageError
from storage.registry import Registry
from storage.runs import find_run, read_candidate

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def minio(tmp_path_factory):
    with running_minio(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture
def store(minio):
    client = open_store(StoreAccess(endpoint=minio.url, key=key_of(minio), region="us-east-1"))
    emptied(client, "artifacts", "models")
    yield client
    client.close()


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


def test_the_first_promotion_serves_records_and_names_the_champion(promoter, store):
    digest = write_run(store, "run-1")
    result = promoter.promote_run("run-1", Rules())
    assert (result.promoted, result.changed, result.digest, result.number) == (True, True, digest, 1)
    assert result.smoke.rows == result.smoke.agreed == 10
    assert champion(promoter) == digest
    assert serves(promoter, digest)
    [entry] = promoter.registry.history("churn")
    assert entry.details["candidate"]["run_id"] == "run-1"
    assert entry.details["manifest"]["metadata"]["annotations"]["slipway.dev/run-id"] == "run-1"
    assert set(result.seconds) == {"check and copy", "roll out", "first answer"}


def test_the_next_promotion_replaces_it_and_the_same_one_again_changes_nothing(promoter, store):
    one, two = write_run(store, "run-1"), write_run(store, "run-2", seed=2)
    promoter.promote_run("run-1", Rules())
    result = promoter.promote_run("run-2", Rules(), pipeline="training")
    assert (result.previous_digest, result.digest, result.number) == (one, two, 2)
    again = promoter.promote_run("run-2", Rules())
    assert (again.promoted, again.changed, again.number) == (True, False, 2)
    assert [entry.number for entry in promoter.registry.history("churn")] == [1, 2]
    assert serves(promoter, two)


def test_a_run_that_missed_its_threshold_promotes_nothing_and_says_so(promoter, store):
    evaluation = {
        "confusion": [[1, 0], [0, 1]],
        "held_out_rows": 20,
        "metrics": {"accuracy": 0.4},
        "model_digest": "a" * 64,
        "passed": False,
        "samples": [],
        "threshold": 0.85,
    }
    store.put_object(
        Bucket="artifacts",
        Key="team-a/runs/training/run-9/evaluate/evaluation",
        Body=json.dumps(evaluation).encode(),
    )
    result = promoter.promote_run("run-9", Rules())
    assert not result.promoted
    assert "accuracy 0.4000 on 20 held-out rows, threshold 0.85" in result.reason
    assert promoter.cluster.applied == []


def test_the_rules_may_refuse_what_the_run_let_pass(promoter, store):
    write_run(store, "run-1")
    result = promoter.promote_run("run-1", Rules(minimums={"recall": 0.5}))
    assert not result.promoted
    assert "recall is missing" in result.reason
    assert promoter.cluster.applied == []
    assert promoter.registry.list_models() == []


def test_a_run_that_does_not_exist_is_a_usage_error(promoter):
    with pytest.raises(UsageError, match="left nothing"):
        promoter.promote_run("nope", Rules())
    with pytest.raises(UsageError, match="not a run's id"):
        promoter.promote_run("../run-1", Rules())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": {"model.pkl": CORPUS["os_system"]}}, r"os\.system"),
        ({"files": {"model-settings.json": b"{}"}}, "model-settings.json"),
        ({"files": {"schema.json": b"{}"}}, "can't be read"),
        ({"model_digest": "e" * 64}, "not the one that was evaluated"),
        ({"model_uri": "s3://artifacts/team-ab/runs/x"}, "not one of team-a's runs"),
        ({"model_uri": "s3://artifacts/team-a/runs/../../x"}, "not one of team-a's runs"),
        ({"model": "Bad Name"}, "can't name a model"),
        ({"features": ["x"]}, "other features"),
        ({"run": "run-2"}, "names run run-2"),
        ({"surprise": 1}, "not a valid record"),
    ],
)
def test_a_bad_candidate_is_refused_before_anything_is_copied_or_served(promoter, store, changes, message):
    write_run(store, "run-1", **changes)
    with pytest.raises((FailedError, UsageError), match=message):
        promoter.promote_run("run-1", Rules())
    assert promoter.cluster.applied == []
    assert store.list_objects_v2(Bucket="models")["KeyCount"] == 0


def test_a_byte_changed_after_evaluation_is_found(promoter, store):
    write_run(store, "run-1")
    key = "team-a/runs/training/run-1/train/model/schema.json"
    content = store.get_object(Bucket="artifacts", Key=key)["Body"].read()
    store.put_object(Bucket="artifacts", Key=key, Body=content + b" ")
    with pytest.raises(FailedError, match="not the one that was evaluated"):
        promoter.promote_run("run-1", Rules())


@pytest.mark.parametrize("fault", ["ready", "wrong answers", "log", "alias"])
def test_whatever_fails_the_old_version_serves_and_the_failure_says_why(
    promoter, store, serving, monkeypatch, fault
):
    old = write_run(store, "run-1")
    promoter.promote_run("run-1", Rules())
    new = write_run(store, "run-2", seed=2)

    def broken(*arguments, **named):
        raise FailedError("The store refused.", why="out of space")

    asked = serving.ask
    if fault == "ready":
        serving.fail_ready.add(new)
    elif fault == "wrong answers":
        promoter.ask = lambda url, rows: [1 - answer for answer in asked(url, rows)]
    elif fault == "log":
        monkeypatch.setattr(promoter.registry, "append_history", broken)
    else:
        monkeypatch.setattr(promoter.registry, "move_alias", broken)
    with pytest.raises(FailedError, match=f"Version {old[:12]} serves") as raised:
        promoter.promote_run("run-2", Rules())
    assert raised.value.exit_code == 1
    monkeypatch.undo()
    assert champion(promoter) == old
    assert serves(promoter, old)
    serving.fail_ready.clear()
    promoter.ask = asked
    assert promoter.promote_run("run-2", Rules()).digest == new
    assert champion(promoter) == new


def test_a_first_promotion_that_fails_leaves_no_endpoint(promoter, store, serving):
    serving.fail_ready.add(write_run(store, "run-1"))
    with pytest.raises(FailedError, match=r"exited with 1 .* endpoint was removed"):
        promoter.promote_run("run-1", Rules())
    assert serving.live == {}
    assert champion(promoter) is None


def test_an_interrupt_puts_the_old_manifest_back_without_waiting(promoter, store, serving, monkeypatch):
    old = write_run(store, "run-1")
    promoter.promote_run("run-1", Rules())
    write_run(store, "run-2", seed=2)

    def interrupt(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(serving, "wait_serving", interrupt)
    with pytest.raises(KeyboardInterrupt):
        promoter.promote_run("run-2", Rules())
    assert serves(promoter, old)


class Patient:
    """Takes no notice of who was applied last: the race under test is the alias's."""

    def __init__(self, inner: FakeServing) -> None:
        self.apply, self.delete, self.get = inner.apply, inner.delete, inner.get

    def wait_serving(self, *arguments, **named):
        return None


def test_of_concurrent_promotions_one_wins_and_every_loser_knows(minio, store, serving):
    runs = {f"run-{seed}": write_run(store, f"run-{seed}", seed=seed) for seed in range(1, 5)}
    together = Barrier(len(runs))

    def promote(run_id: str) -> str:
        mine = open_store(StoreAccess(endpoint=minio.url, key=key_of(minio), region="us-east-1"))
        found = read_candidate(mine, find_run(mine, "s3://artifacts/team-a/runs", run_id))

        def ask(url, rows):
            together.wait(30)  # everybody has read the alias by now, and nobody has moved it
            return [sample.prediction for sample in found.samples]

        registry = Registry(mine, "models", "team-a")
        promoter = Promoter(outputs(minio.url), "team-a", Patient(serving), mine, registry, ask=ask)
        try:
            promoter.promote_run(run_id, Rules())
        except ConflictError:
            return "conflict"
        return "won"

    with ThreadPoolExecutor(len(runs)) as pool:
        ends = dict(zip(runs, pool.map(promote, runs), strict=True))
    [winner] = [run_id for run_id, end in ends.items() if end == "won"]
    held = Registry(store, "models", "team-a").read_alias("churn", "champion")
    assert (held.record.digest, held.record.number) == (runs[winner], 1)
    assert f"/versions/{runs[winner]}/" in serving.uri("team-a/churn")


def test_a_log_that_does_not_explain_the_champion_closes_the_gate(promoter, store):
    write_run(store, "run-1")
    promoter.promote_run("run-1", Rules())
    store.delete_object(Bucket="models", Key="team-a/churn/history/00000001.json")
    write_run(store, "run-2", seed=2)
    with pytest.raises(FailedError, match="does not say how its champion got there"):
        promoter.promote_run("run-2", Rules())


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
                promoter.promote_run(run_id, Rules())

    promoter.lines = []
    promoter.report = promoter.lines.append
    return promote


def told(promoter, text: str) -> bool:
    return any(text in line for line in promoter.lines)


@pytest.mark.parametrize("at", ["append_history", "move_alias"])
@pytest.mark.parametrize("first", [True, False])
def test_a_promotion_that_was_killed_converges_when_it_is_run_again(promoter, store, kill, at, first):
    if not first:
        write_run(store, "run-1")
        promoter.promote_run("run-1", Rules())
    new = write_run(store, "run-2", seed=2)
    kill("run-2", at)
    assert serves(promoter, new)
    assert champion(promoter) != new
    result = promoter.promote_run("run-2", Rules())
    assert (result.changed, result.digest, result.number) == (True, new, 1 if first else 2)
    assert told(promoter, f"version {new[:12]} is served, but ")
    assert champion(promoter) == new
    assert serves(promoter, new)
    promoter.lines.clear()
    assert not promoter.promote_run("run-2", Rules()).changed
    assert not told(promoter, "is served, but")


@pytest.mark.parametrize("run_id", ["run-1", "run-3"])
def test_the_next_promotion_notices_what_a_killed_one_left_and_replaces_it(promoter, store, kill, run_id):
    old = write_run(store, "run-1")
    promoter.promote_run("run-1", Rules())
    left = write_run(store, "run-2", seed=2)
    digest = old if run_id == "run-1" else write_run(store, "run-3", seed=3)
    kill("run-2")
    result = promoter.promote_run(run_id, Rules())
    assert told(promoter, f"version {left[:12]} is served, but the champion is {old[:12]}")
    assert (result.previous_digest, result.changed) == (old, digest != old)
    assert champion(promoter) == digest
    assert serves(promoter, digest)


def test_a_promotion_that_fails_after_a_killed_one_reinstates_the_champion(promoter, store, serving, kill):
    old = write_run(store, "run-1")
    promoter.promote_run("run-1", Rules())
    write_run(store, "run-2", seed=2)
    kill("run-2")
    serving.fail_ready.add(write_run(store, "run-3", seed=3))
    with pytest.raises(FailedError, match=f"Version {old[:12]} serves"):
        promoter.promote_run("run-3", Rules())
    assert serves(promoter, old)


@pytest.mark.parametrize("first", [True, False])
def test_a_promotion_that_keeps_the_champion_puts_it_back_unless_another_may_be_at_work(
    promoter, store, serving, kill, first
):
    old = None if first else write_run(store, "run-1")
    if old:
        promoter.promote_run("run-1", Rules())
    left = write_run(store, "run-2", seed=2)
    write_run(store, "run-3", seed=3)
    kill("run-2")
    refusing = Rules(minimums={"recall": 0.5})
    assert not promoter.promote_run("run-3", refusing).promoted
    assert told(promoter, "a promotion was cut off or is under way")
    assert serves(promoter, left)
    serving.age("team-a/churn", LONG_AGO)
    assert not promoter.promote_run("run-3", refusing).promoted
    assert told(promoter, "an earlier promotion was cut off")
    assert champion(promoter) == old
    if old:
        assert told(promoter, f"Version {old[:12]} serves.")
        assert serves(promoter, old)
    else:
        assert told(promoter, "the endpoint was removed")
        assert serving.live == {}


def test_an_endpoint_that_somebody_deleted_comes_back(promoter, store, serving, kill):
    old = write_run(store, "run-1")
    promoter.promote_run("run-1", Rules())
    serving.delete("team-a", "churn")
    write_run(store, "run-2", seed=2)
    promoter.promote_run("run-2", Rules(minimums={"recall": 0.5}))
    assert told(promoter, f"nothing is served, but the champion is {old[:12]}")
    assert serves(promoter, old)


def test_a_service_that_is_nobodys_promotion_is_left_alone(promoter, store, serving, kill):
    serving.live["team-a/churn"] = {"metadata": {"name": "churn"}}
    write_run(store, "run-1")
    assert not promoter.promote_run("run-1", Rules(minimums={"recall": 0.5})).promoted
    assert list(serving.live) == ["team-a/churn"]
    assert not told(promoter, "is served, but")


def test_a_champion_moved_while_another_is_put_back_is_served_in_the_end(
    promoter, store, serving, monkeypatch
):
    write_run(store, "run-1")
    promoter.promote_run("run-1", Rules())
    new = write_run(store, "run-2", seed=2)
    serving.fail_ready.add(write_run(store, "run-3", seed=3))
    waited = serving.wait_serving

    def overtaken(namespace, name, storage_uri, **named):
        if len(serving.applied) == 3:  # run-1, run-3, and run-1 again
            monkeypatch.setattr(serving, "wait_serving", waited)
            other = Promoter(promoter.outputs, "team-a", serving, store, promoter.registry, ask=serving.ask)
            other.promote_run("run-2", Rules())
            serving.apply(serving.applied[2])
        else:
            waited(namespace, name, storage_uri, **named)

    monkeypatch.setattr(serving, "wait_serving", overtaken)
    with pytest.raises(FailedError, match=f"Version {new[:12]} serves"):
        promoter.promote_run("run-3", Rules())
    assert champion(promoter) == new
    assert serves(promoter, new)
