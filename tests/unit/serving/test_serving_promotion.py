"""The decision: a gate that can't be evaluated is closed, and the reason is in words."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.candidates import candidate

from serving.promotion import Champion, Decision, Rules, decide

SAME = "1" * 64
OTHER = "2" * 64


def champion(accuracy: float | None = 0.9, data: str = SAME) -> Champion:
    return Champion(digest="f" * 64, metrics={"accuracy": accuracy}, data_sha256=data)


def test_the_first_model_that_reaches_its_threshold_is_promoted():
    decision = decide(candidate(metrics={"accuracy": 0.9}, threshold=0.85), Rules(), None)
    assert decision == Decision(True, "accuracy 0.9000 >= 0.85; nothing is served yet")


@pytest.mark.parametrize(
    ("changes", "rules", "words"),
    [
        ({"metrics": {"accuracy": 0.84}}, Rules(), "accuracy 0.8400 is below 0.85"),
        ({"metrics": {"accuracy": math.nan}}, Rules(), "can't be evaluated"),
        ({"metrics": {"accuracy": math.inf}}, Rules(), "can't be evaluated"),
        ({"metrics": {"accuracy": None}}, Rules(), "accuracy is missing"),
        ({"metrics": {}}, Rules(), "accuracy is missing"),
        ({"threshold": math.nan}, Rules(), "nothing can be held against"),
        ({}, Rules(minimums={"accuracy": 0.99}), "is below 0.99"),
        ({}, Rules(minimums={"recall": 0.1}), "recall is missing"),
        ({}, Rules(minimums={"accuracy": math.nan}), "nothing can be held against"),
        ({"held_out_rows": 3}, Rules(), "judged on 3 rows"),
    ],
)
def test_what_falls_short_is_refused_in_words(changes, rules, words):
    fields = {"metrics": {"accuracy": 0.95}, "threshold": 0.85} | changes
    decision = decide(candidate(**fields), rules, None)
    assert not decision.promote
    assert words in decision.reason


@pytest.mark.parametrize(
    ("mine", "there", "rules", "promote", "words"),
    [
        (0.95, champion(0.9), Rules(), True, "the champion has 0.9000"),
        (0.9, champion(0.9), Rules(), True, "the champion has 0.9000"),
        (0.89, champion(0.9), Rules(), False, "below the champion's 0.9000"),
        (0.89, champion(0.9), Rules(max_drop=0.02), True, "the champion has"),
        (0.89, champion(0.9, OTHER), Rules(), True, "judged on other data"),
        (0.89, champion(0.9, OTHER), Rules(compare="always"), False, "below the champion's"),
        (0.89, champion(0.9), Rules(compare="never"), True, "not compared"),
        (0.95, champion(None), Rules(), False, "can't be evaluated"),
        (0.95, champion(math.nan), Rules(), False, "can't be evaluated"),
    ],
)
def test_against_the_champion(mine, there, rules, promote, words):
    decision = decide(candidate(metrics={"accuracy": mine}, data_sha256=SAME), rules, there)
    assert decision.promote is promote
    assert words in decision.reason


@given(
    accuracy=st.floats() | st.none(), threshold=st.floats(), least=st.floats(), theirs=st.floats() | st.none()
)
def test_nothing_below_any_demand_ever_passes(accuracy, threshold, least, theirs):
    decision = decide(
        candidate(metrics={"accuracy": accuracy}, threshold=threshold, data_sha256=SAME),
        Rules(minimums={"accuracy": least}),
        champion(theirs),
    )
    assert decision.reason
    if decision.promote:
        assert accuracy >= threshold
        assert accuracy >= least
        assert accuracy >= theirs
