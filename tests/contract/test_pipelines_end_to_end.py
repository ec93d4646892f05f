"""Both pipelines as a user runs them: uploaded, run by a pipelines API, judged, promoted."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.kfp_server import KfpServer, launcher_objects
from support.minio import running_minio
from support.platform import outputs
from support.promotions import FakeServing, key_of

from infra.contract import PlatformOutputs
from pipelines import data, outcome, run
from pipelines.client import open_client
from pipelines.upload import upload
from serving.rollout import Promoter
from slipway.core.errors import FailedError, UsageError
from storage.client import StoreAccess, open_store
from storage.registry.registry import Registry

pytestmark = pytest.mark.contract
TENANT = "team-a"


@dataclass
class Stack:
    outputs: PlatformOutputs
    client: Any
    access: StoreAccess
    store: Any
    folder: Path

    def run(self, pipeline: str, **parameters: Any) -> tuple[run.RunResult, outcome.RunOutcome]:
        uploaded = upload(self.client, self.outputs, TENANT, pipeline)
        run_id = run.start(self.client, self.outputs, TENANT, uploaded, parameters)
        lines: list[str] = []
        result = run.wait(self.client, run_id, pipeline=pipeline, report=lines.append, timeout=240)
        assert lines
        result.require_success()
        return result, outcome.read(self.store, self.outputs, TENANT, run_id, pipeline)

    def cancer(self) -> dict[str, str]:
        return self.sample("wisconsin")

    def sample(self, name: data.Sample) -> dict[str, str]:
        stored = data.upload(self.access, self.outputs, TENANT, data.sample(name, self.folder / "data"))
        return {"data_uri": stored.uri, "data_sha256": stored.sha256}

    def promoter(self) -> Promoter:
        serving = FakeServing(self.store)
        registry = Registry(self.store, "models", TENANT)
        return Promoter(self.outputs, TENANT, serving, self.store, registry, ask=serving.ask)


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stack")
    with running_minio(folder) as minio, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        access = StoreAccess(endpoint=minio.url, key=key_of(minio), region="us-east-1")
        store = open_store(access)
        for bucket in ("artifacts", "models", "data"):
            store.create_bucket(Bucket=bucket)
        (folder / "launcher.yaml").write_text(launcher_objects(minio))
        server = KfpServer(folder / "kfp", folder / "launcher.yaml").start()
        try:
            kfp = outputs(minio.url).kfp.model_copy(update={"endpoint": server.url})
            platform = outputs(minio.url, kfp=kfp.model_dump())
            yield Stack(platform, open_client(platform, TENANT), access, store, folder)
        finally:
            server.stop()
            store.close()


def test_uploading_twice_makes_one_version_and_prints_nothing(stack, capsys):
    first = upload(stack.client, stack.outputs, TENANT, "iris")
    again = upload(stack.client, stack.outputs, TENANT, "iris")
    assert first.created
    assert not again.created
    assert (again.pipeline_id, again.version_id) == (first.pipeline_id, first.version_id)
    versions = stack.client.list_pipeline_versions(first.pipeline_id, page_size=100).pipeline_versions
    [version] = [found for found in versions if found.display_name == first.version]
    assert version.description == f"git commit {first.git_commit}"
    images = stack.outputs.images.model_copy(update={"steps": "another"})
    other = upload(stack.client, stack.outputs.model_copy(update={"images": images}), TENANT, "iris")
    assert (other.pipeline_id, other.created) == (first.pipeline_id, True)
    assert capsys.readouterr().out == ""


def test_training_on_wisconsin_data_is_proposed_and_promoted(stack):
    result, found = stack.run("training", model_name="cancer", n_estimators=20, **stack.cancer())
    assert {task.name for task in result.tasks} >= {"preprocess", "train", "evaluate", "propose"}
    assert all(task.seconds is not None for task in result.tasks if task.name == "train")
    assert found.evaluation.passed
    assert found.evaluation.metrics["accuracy"] > 0.9
    assert found.candidate.run_id == result.run_id
    assert len(found.candidate.pipeline_digest) == 64
    assert "threshold 0.85 reached" in found.summary
    promoted = stack.promoter().promote_run(result.run_id)
    assert promoted.promoted
    assert promoted.digest == found.candidate.model_digest
    assert promoted.smoke.agreed == promoted.smoke.rows == 64


def test_a_threshold_out_of_reach_promotes_nothing(stack):
    result, found = stack.run(
        "training", model_name="strict", n_estimators=2, max_depth=1, deploy_threshold=1.0, **stack.cancer()
    )
    assert result.succeeded
    assert "propose" not in {task.name for task in result.tasks if task.state == "SUCCEEDED"}
    assert found.candidate is None
    assert not found.evaluation.passed
    assert "missed" in found.summary
    promotion = stack.promoter().promote_run(result.run_id)
    assert not promotion.promoted
    assert "missed its threshold" in promotion.reason


def test_iris_is_proposed_and_promoted(stack):
    result, found = stack.run("iris", **stack.sample("iris"))
    promoted = stack.promoter().promote_run(result.run_id)
    assert promoted.promoted
    assert promoted.evaluation.metrics == found.evaluation.metrics
    assert promoted.evaluation.held_out.rows == found.evaluation.held_out_rows


def test_data_changed_after_its_request_fails_the_run(stack):
    cancer = stack.cancer() | {"data_sha256": "0" * 64}
    uploaded = upload(stack.client, stack.outputs, TENANT, "training")
    run_id = run.start(stack.client, stack.outputs, TENANT, uploaded, {"model_name": "m", **cancer})
    result = run.wait(stack.client, run_id, pipeline="training", timeout=120)
    assert not result.succeeded
    with pytest.raises(FailedError, match=r"preprocess: the data has SHA-256 .*, the run was started for"):
        result.require_success()


def test_data_is_uploaded_once(stack):
    prepared = data.sample("wisconsin", stack.folder / "again")
    first = data.upload(stack.access, stack.outputs, TENANT, prepared)
    again = data.upload(stack.access, stack.outputs, TENANT, prepared)
    assert (again.uri, again.created) == (first.uri, False)
    assert first.uri == f"s3://data/team-a/{prepared.summary.sha256}/wisconsin.csv"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "needs a value for data_sha256, data_uri, model_name"),
        ({"n_trees": 5}, "no parameter n_trees"),
        ({"n_estimators": "many"}, "requires a NUMBER_INTEGER"),
        ({"deploy_threshold": float("nan")}, "finite"),
    ],
)
def test_parameters_that_do_not_fit_start_no_run(stack, parameters, message):
    uploaded = upload(stack.client, stack.outputs, TENANT, "training")
    known = {"data_uri": "s3://data/x", "data_sha256": "0" * 64, "model_name": "m"} if parameters else {}
    with pytest.raises(UsageError, match=message):
        run.start(stack.client, stack.outputs, TENANT, uploaded, known | parameters)


def test_an_api_that_is_down_is_said_to_be(stack):
    down = stack.outputs.model_copy(
        update={"kfp": stack.outputs.kfp.model_copy(update={"endpoint": "http://127.0.0.1:9"})}
    )
    with pytest.raises(FailedError, match="did not answer"):
        upload(open_client(down, TENANT), down, TENANT, "iris")
    with pytest.raises(UsageError, match="no tenant 'team-z'"):
        open_client(stack.outputs, "team-z")
