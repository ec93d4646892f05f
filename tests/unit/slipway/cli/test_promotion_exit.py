"""A promotion that did not happen exits with 1, and prints its decision as one that did."""

import json

import pytest
from support.platform import outputs

from slipway.cli import app
from slipway.operations import promotion, quickstart, training, workspace
from slipway.operations.promotion import PromotionResult
from slipway.operations.quickstart import QuickstartSummary
from slipway.operations.training import TrainedModel
from tabular.schema import ReadOptions, RowCounts, Split
from tabular.summary import Summary

DATA = Summary(
    file="churn.csv", format="csv", delimiter=",", size=1, sha256="0" * 64, rows=10, columns=(), classes=(),
    dropped=(), read=ReadOptions(), split=Split(), split_rows=RowCounts(train=8, held_out=2), warnings=(),
)  # fmt: skip
REASON = "accuracy 0.8000 is below 0.85"


@pytest.fixture(autouse=True)
def platform(monkeypatch):
    monkeypatch.setattr(workspace, "outputs", lambda stack: outputs("http://store"))


def answer(monkeypatch, module, name: str, result: object) -> None:
    monkeypatch.setattr(module, name, lambda *arguments, **named: result)


def trained(version: str | None) -> TrainedModel:
    return TrainedModel(
        name="churn", pipeline="training", run_id="run-1", run_state="SUCCEEDED", data=DATA,
        decision=REASON, version=version,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("promoted", "changed", "code"), [(False, False, 1), (True, True, 0), (True, False, 0)],
    ids=["closed gate", "promoted", "the champion already"],
)  # fmt: skip
def test_promote_exits_by_what_serves(promoted, changed, code, monkeypatch, capsys):
    answer(
        monkeypatch, promotion, "promote", PromotionResult(promoted=promoted, changed=changed, reason=REASON)
    )
    assert app.main(["model", "promote", "--run", "run-1"]) == code
    assert REASON in capsys.readouterr().out
    assert app.main(["model", "promote", "--run", "run-1", "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert (document["promoted"], document["reason"]) == (promoted, REASON)


@pytest.mark.parametrize(("version", "code"), [(None, 1), ("d" * 64, 0)], ids=["closed gate", "promoted"])
def test_a_run_that_is_to_be_promoted_exits_by_what_serves(version, code, monkeypatch, capsys):
    answer(monkeypatch, training, "train_and_promote", trained(version))
    assert app.main(["pipeline", "run", "training", "--model", "churn", "--promote", "--json"]) == code
    assert json.loads(capsys.readouterr().out)["decision"] == REASON


@pytest.mark.parametrize(("version", "code"), [(None, 1), ("d" * 64, 0)], ids=["closed gate", "promoted"])
def test_a_quickstart_exits_by_what_serves(version, code, monkeypatch, capsys):
    done = QuickstartSummary(
        phases=(), slowest=(), outputs=outputs("http://store"), models=(trained("e" * 64), trained(version))
    )
    answer(monkeypatch, quickstart, "run", done)
    assert app.main(["quickstart", "local", "--json"]) == code
    assert [each["version"] for each in json.loads(capsys.readouterr().out)["models"]] == ["e" * 64, version]
