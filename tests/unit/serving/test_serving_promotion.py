"""The decision: a gate that can't be evaluated is closed, and the reason is in words."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.candidates import candidate

from serving.promotion import Decision, decide, require_same_figures
from slipway.core.errors import FailedError
from storage.registry.gates import Gates
from storage.registry.promotion_record import ChampionFigures
from tabular.metrics import Scores


def found(accuracy: float = 0.95, *, rows: int = 100, baseline: float = 0.5, **changes) -> Scores:
    fields = {
        "rows": rows,
        "metrics": {"accuracy": accuracy, "f1_weighted": accuracy},
        "baseline": {"accuracy": baseline, "f1_weighted": baseline},
        "majority": "no",
        "confusion": ((1, 0), (0, 1)),
        "few": {},
    }
    return Scores(**fields | changes)


def gates(**changes) -> Gates:
    return Gates.model_validate(changes)


def champion(theirs: float, mine: float = 0.95, *, unseen: bool = True) -> ChampionFigures:
    return ChampionFigures(
        digest="f" * 64, rows=100, unseen=unseen, metrics={"accuracy": theirs}, candidate={"accuracy": mine}
    )


def test_the_first_model_that_reaches_its_threshold_is_promoted():
    decision = decide(candidate(threshold=0.85), found(0.9), gates(), None)
    assert decision == Decision(True, "accuracy 0.9000 >= 0.85; nothing is served yet")


@pytest.mark.parametrize(
    ("threshold", "figures", "rules", "words"),
    [
        (0.85, found(0.84), gates(), "accuracy 0.8400 is below 0.85"),
        (0.85, found(metrics={"accuracy": math.nan}), gates(), "can't be evaluated"),
        (0.85, found(metrics={"accuracy": math.inf}), gates(), "can't be evaluated"),
        (math.nan, found(), gates(), "no value can be compared with"),
        (math.inf, found(), gates(), "no value can be compared with"),
        (0.85, found(), gates(minimums={"accuracy": 0.99}), "is below 0.99"),
        (0.0, found(0.6), gates(minimums={"accuracy": 0.7}), "is below 0.7"),
        (0.85, found(), gates(minimums={"f1_weighted": 0.99}), "f1_weighted 0.9500 is below 0.99"),
        (0.85, found(metrics={"accuracy": 0.95}), gates(minimums={"f1_weighted": 0.1}), "is missing"),
        (0.85, found(rows=3), gates(), "evaluated on 3 rows; at least 10 are demanded"),
        (0.85, found(rows=49), gates(min_held_out_rows=50), "evaluated on 49 rows"),
        (0.0, found(0.4), gates(), "accuracy 0.4000 is not 0 above 0.5000"),
        (0.0, found(0.54), gates(min_gain=0.05), "which always answering 'no' reaches"),
    ],
)
def test_what_falls_short_is_refused_in_words(threshold, figures, rules, words):
    decision = decide(candidate(threshold=threshold), figures, rules, None)
    assert not decision.promote
    assert words in decision.reason


@pytest.mark.parametrize(
    ("there", "rules", "promote", "words"),
    [
        (champion(0.9), gates(), True, "the champion has 0.9000 on the same 100 rows"),
        (champion(0.95), gates(), True, "the champion has 0.9500"),
        (champion(0.9, 0.89), gates(), False, "below the champion's 0.9000 on the same 100 rows"),
        (champion(0.9, 0.89), gates(max_drop=0.01), True, "the champion has"),
        (champion(0.9, 0.88), gates(max_drop=0.01), False, "less 0.01"),
        (champion(0.9, 0.89, unseen=False), gates(), False, "--replace accepts that"),
    ],
)
def test_against_the_champion_on_the_same_rows(there, rules, promote, words):
    decision = decide(candidate(threshold=0.5), found(), rules, there)
    assert decision.promote is promote
    assert words in decision.reason


def test_a_comparison_on_known_rows_may_be_accepted():
    decision = decide(candidate(), found(), gates(), champion(1.0, 0.9, unseen=False), replace=True)
    assert decision.promote
    assert "some of which it was trained on" in decision.replaced
    fair = decide(candidate(), found(), gates(), champion(1.0, 0.9), replace=True)
    assert not fair.promote, "a fair comparison binds whatever a person says"


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (found(few={"rare": 3}), "fewer than 5 held-out rows of a class: 'rare' 3"),
        (found(few={str(n): 1 for n in range(7)}), "and 2 more"),
        (found(0.95, baseline=0.9), "always answering 'no' reaches accuracy 0.9000 too, and 0.85"),
    ],
)
def test_what_weakens_an_open_gate_is_said_in_the_decision(figures, words):
    decision = decide(candidate(threshold=0.85), figures, gates(), None)
    assert decision.promote
    assert words in decision.reason


def test_rows_that_onnx_answers_differently_are_said():
    decision = decide(candidate(threshold=0.85, differing_rows=3), found(), gates(), None)
    assert decision.promote
    assert "answers 3 of 114 held-out rows differently" in decision.reason


def test_a_decision_without_a_weakness_warns_of_nothing():
    assert "warning" not in decide(candidate(threshold=0.85), found(), gates(), None).reason


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": {"accuracy": 1.0, "f1_weighted": 0.95}},
        {"metrics": {"accuracy": 0.95}},
        {"metrics": {}},
        {"metrics": {"accuracy": None, "f1_weighted": 0.95}},
        {"metrics": {"accuracy": math.nan, "f1_weighted": 0.95}},
        {"metrics": {"accuracy": 0.95, "f1_weighted": 0.95, "recall": 1.0}},
        {"held_out_rows": 1},
        {"held_out_rows": 0},
    ],
)
def test_a_run_that_reports_other_figures_is_refused(changes):
    same = {"metrics": {"accuracy": 0.95, "f1_weighted": 0.95}, "held_out_rows": 100}
    require_same_figures(candidate(**same), found())
    with pytest.raises(FailedError, match="not those of its model"):
        require_same_figures(candidate(**same | changes), found())


@given(
    accuracy=st.floats(),
    threshold=st.floats(),
    least=st.floats(0, 1),
    theirs=st.floats(0, 1),
    drop=st.floats(0, 1),
)
def test_nothing_below_any_demand_ever_passes(accuracy, threshold, least, theirs, drop):
    decision = decide(
        candidate(threshold=threshold),
        found(accuracy),
        gates(minimums={"accuracy": least}, max_drop=drop),
        champion(theirs, accuracy),
    )
    assert decision.reason
    if decision.promote:
        assert accuracy >= threshold - 1e-9
        assert accuracy >= least - 1e-9
        assert accuracy >= theirs - drop - 1e-9
        assert accuracy >= 0.5 - 1e-9
