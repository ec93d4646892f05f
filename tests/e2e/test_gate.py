"""The gate on a running platform: the key of runs can write candidates, and promotes nothing."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from support.checkout import Checkout, Finished

from infra.contract import PlatformOutputs
from serving.access import store_access
from serving.cluster import Cluster
from storage.client import open_store, split_uri
from storage.keys import StoreKey
from storage.registry.run_records import find_artifact, find_run

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def outputs(clone: Checkout, first_up: Finished) -> PlatformOutputs:
    assert first_up.code == 0
    return PlatformOutputs.model_validate(clone.slipway("outputs", "local", "--json").json)


@pytest.fixture(scope="module")
def runner(outputs: PlatformOutputs) -> "Iterator[S3Client]":
    """The store, opened with the key that the steps of runs have."""
    place = outputs.tenant("team-a")
    assert place.runner_secret
    secret = Cluster.of(outputs).read_secret(place.namespace, place.runner_secret)
    key = StoreKey(
        access_key=secret["AWS_ACCESS_KEY_ID"], secret_key=SecretStr(secret["AWS_SECRET_ACCESS_KEY"])
    )
    client = open_store(replace(store_access(outputs, "team-a", "editor"), key=key))
    yield client
    client.close()


@pytest.fixture(scope="module")
def candidate(outputs: PlatformOutputs, runner: "S3Client", first_up: Finished) -> dict[str, Any]:
    """What the quickstart's run of iris proposed."""
    run_id = next(each["run_id"] for each in first_up.json["models"] if each["name"] == "iris")
    uri = find_artifact(runner, find_run(runner, outputs.tenant("team-a").pipeline_root, run_id), "candidate")
    assert uri
    bucket, key = split_uri(uri)
    read: dict[str, Any] = json.loads(runner.get_object(Bucket=bucket, Key=key)["Body"].read())
    return read


def propose(outputs: PlatformOutputs, runner: "S3Client", candidate: dict[str, Any], run_id: str) -> None:
    bucket, root = split_uri(outputs.tenant("team-a").pipeline_root)
    body = json.dumps(candidate | {"run_id": run_id}).encode()
    runner.put_object(Bucket=bucket, Key=f"{root}/iris/{run_id}/propose/candidate", Body=body)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data_sha256": "d" * 64, "held_out_rows": 1}, "not the data that the run names"),
        ({"held_out_rows": 1}, "the run reports 1, promotion measured"),
        ({"metrics": {"accuracy": 0.99, "f1_weighted": 0.99}}, "not those of its model"),
        ({"data_uri": "s3://elsewhere/team-a/x.csv"}, "data is not team-a's"),
    ],
    ids=["data", "rows", "figures", "place"],
)
def test_a_candidate_written_by_hand_is_refused(
    clone: Checkout,
    outputs: PlatformOutputs,
    runner: "S3Client",
    candidate: dict[str, Any],
    changes: dict[str, Any],
    reason: str,
) -> None:
    before = clone.slipway("model", "list", "--json").json
    perfect = {"metrics": {"accuracy": 1.0, "f1_weighted": 1.0}, "threshold": 0.0}
    forged = f"forged-{next(iter(changes)).replace('_', '-')}-{len(changes)}"
    propose(outputs, runner, candidate | perfect | changes, forged)
    done = clone.slipway("model", "promote", "--run", forged)
    assert done.code in (1, 2), done.out
    assert reason in done.err
    assert "Traceback" not in done.err
    assert clone.slipway("model", "list", "--json").json == before


def test_the_same_candidate_with_the_truth_is_promoted(
    clone: Checkout, outputs: PlatformOutputs, runner: "S3Client", candidate: dict[str, Any]
) -> None:
    propose(outputs, runner, candidate, "honest")
    done = clone.slipway("model", "promote", "--run", "honest", "--json")
    assert done.code == 0, done.err
    assert (done.json["promoted"], done.json["changed"]) == (True, False), "it is the champion already"
    evaluation = done.json["evaluation"]
    assert evaluation["metrics"] == evaluation["reported"] == candidate["metrics"]
    assert evaluation["held_out"]["data_sha256"] == candidate["data_sha256"]
    assert done.json["smoke"]["largest_difference"] <= 1e-5


def test_a_model_that_is_served_and_its_data_stay(
    clone: Checkout, outputs: PlatformOutputs, candidate: dict[str, Any]
) -> None:
    gone = clone.slipway("model", "delete", "iris", "--with-aliases", "--yes")
    assert (gone.code, "InferenceService iris serves it" in gone.err) == (2, True), gone.err
    path = candidate["data_uri"].removeprefix(outputs.tenant("team-a").data_uri + "/")
    gone = clone.slipway("data", "delete", path, "--yes")
    assert (gone.code, "is in use; nothing was deleted" in gone.err) == (2, True), gone.err
