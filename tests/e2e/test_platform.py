"""The main job, as a user does it: up, train, gate, promote, predict, change nothing, take away."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest
from support.checkout import Checkout, Finished

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]


def model(summary: Finished, name: str) -> dict[str, object]:
    return next(entry for entry in summary.json["models"] if entry["name"] == name)


def test_the_quickstart_serves_what_it_trained(first_up: Finished) -> None:
    for name in ("wisconsin", "iris"):
        trained = model(first_up, name)
        assert trained["run_state"] == "SUCCEEDED"
        assert trained["version"], trained["decision"]
        assert float(str(trained["accuracy"])) >= 0.85, "accuracy on rows that training never saw"
    assert {phase["name"] for phase in first_up.json["phases"]} >= {"tools", "platform"}


def test_anyone_can_ask_the_endpoint(first_up: Finished) -> None:
    endpoint = str(model(first_up, "iris")["endpoint"])
    rows = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
    body = {
        "inputs": [{"name": "rows", "shape": [2, 4], "datatype": "FP64", "data": rows}],
    }
    answer = httpx.post(endpoint, json=body, timeout=30)
    assert answer.status_code == 200
    assert answer.json()["outputs"][0]["data"] == ["setosa", "virginica"]


def test_predictions_are_named_by_class(clone: Checkout, first_up: Finished, tmp_path: Path) -> None:
    assert first_up.code == 0
    rows = tmp_path / "rows.csv"
    rows.write_text("petal_width,petal_length,sepal_width,sepal_length\n0.2,1.4,3.5,5.1\n2.3,5.2,3.0,6.7\n")
    done = clone.slipway("model", "predict", "iris", "--data", str(rows), "--json")
    assert done.code == 0, done.err
    assert done.json["labels"] == ["setosa", "virginica"]
    assert done.json["version"] == model(first_up, "iris")["version"]


def test_a_runs_id_can_be_copied_from_the_list(clone: Checkout, first_up: Finished) -> None:
    run_id = str(model(first_up, "iris")["run_id"])
    listed = clone.slipway("pipeline", "list")
    assert listed.code == 0, listed.err
    assert run_id in listed.out, "whole, not cut to the width of a terminal that isn't there"
    log = clone.slipway("pipeline", "logs", run_id, "train")
    assert "decision-tree on " in log.out


def test_a_second_up_changes_nothing(clone: Checkout, first_up: Finished) -> None:
    assert first_up.code == 0
    again = clone.slipway("up", "local", "--json")
    assert again.code == 0, again.err
    assert set(again.json["changes"]) == {"same"}
    seen = clone.slipway("preview", "local", "--json")
    assert seen.code == 0, seen.err
    assert set(seen.json["changes"]) == {"same"}


def test_literal_pulumi_in_a_prepared_shell_does_the_same(clone: Checkout, first_up: Finished) -> None:
    assert first_up.code == 0
    exports = clone.slipway("env", "local")
    assert exports.code == 0, exports.err
    done = subprocess.run(  # noqa: PLW1510 - its code is the result
        ["bash", "-euc", f"{exports.out}\npulumi up -s local --yes --non-interactive --expect-no-changes"],
        cwd=clone.path,
        env=clone.env,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_working_tree_stays_clean(clone: Checkout, first_up: Finished) -> None:
    assert first_up.code == 0
    assert clone.git_status() == ""


def test_no_secret_is_in_the_outputs(clone: Checkout, first_up: Finished) -> None:
    assert first_up.code == 0
    outputs = clone.slipway("outputs", "local", "--json")
    assert outputs.code == 0, outputs.err
    document = json.dumps(outputs.json)
    assert "AWS_SECRET" not in document
    assert "[secret]" not in document


def test_a_model_below_the_threshold_is_not_promoted(clone: Checkout, first_up: Finished) -> None:
    before = clone.slipway("model", "list", "--tenant", "team-a", "--json").json
    done = clone.slipway(
        "pipeline", "run", "training", "--tenant", "team-a", "--model", "wisconsin",
        "--threshold", "0.9999", "--promote", "--json",
    )  # fmt: skip
    assert done.code == 1, done.err
    assert done.json["run_state"] == "SUCCEEDED", "the run is done, its model was not promoted"
    assert done.json["version"] is None
    assert "0.9999" in done.json["decision"]
    assert clone.slipway("model", "list", "--tenant", "team-a", "--json").json == before


def test_a_users_own_data(clone: Checkout, first_up: Finished, tmp_path: Path) -> None:
    assert first_up.code == 0
    rows = ["left,right,target"]
    rows += [f"{n},{(n * 7) % 301},{'big' if n > 149 else 'small'}" for n in range(300)]
    data = tmp_path / "sizes.csv"
    data.write_text("\n".join(rows) + "\n")
    done = clone.slipway(
        "pipeline", "run", "training", "--tenant", "team-a", "--model", "sizes",
        "--data", str(data), "--promote", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.json["version"], done.json["decision"]
    assert done.json["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file"),
        ("", "empty"),
        ("a,b\n1,2\n", "target"),
        ("a,target\n1,x\n2,x\n", "class"),
        ("a,target\nred,x\nblue,y\nred,x\nblue,y\n", "distinct rows"),
    ],
)
def test_wrong_data_is_refused_before_anything_starts(
    clone: Checkout, tmp_path: Path, content: str | None, reason: str
) -> None:
    data = tmp_path / "wrong.csv"
    if content is not None:
        data.write_text(content)
    done = clone.slipway("quickstart", "local", "--data", str(data))
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    assert str(data) in done.err
    assert reason in done.err.lower()
