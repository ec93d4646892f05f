"""Metrics equal those of scikit-learn; invalid labels are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from tabular import metrics

CLASSES = ("01", "1", "x")
LABELS = st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=1, max_size=60)


@given(LABELS)
def test_metrics_equal_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    expected, predicted = (list(each) for each in zip(*pairs, strict=True))
    scores = metrics.score(expected, predicted, CLASSES)
    f1 = f1_score(expected, predicted, average="weighted", zero_division=0)
    assert scores.metrics["accuracy"] == pytest.approx(accuracy_score(expected, predicted))
    assert scores.metrics["f1_weighted"] == pytest.approx(f1)
    assert np.array_equal(scores.confusion, confusion_matrix(expected, predicted, labels=list(CLASSES)))
    constant = [scores.majority] * len(expected)
    assert scores.baseline["accuracy"] == pytest.approx(accuracy_score(expected, constant))
    assert scores.baseline["f1_weighted"] == pytest.approx(
        f1_score(expected, constant, average="weighted", zero_division=0)
    )
    assert scores.rows == len(pairs)


def test_classes_with_few_rows_are_listed() -> None:
    expected = ["01"] * 5 + ["1"] * 4
    assert metrics.score(expected, expected, CLASSES).few == {"1": 4, "x": 0}


@pytest.mark.parametrize(
    ("expected", "predicted", "words"),
    [
        ([], [], "0 predictions for 0 rows"),
        (["1"], ["1", "1"], "2 predictions for 1 rows"),
        (["1"], ["other"], "label 'other' is not among"),
        (["other"], ["1"], "label 'other' is not among"),
    ],
)
def test_invalid_labels_are_refused(expected: list[str], predicted: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        metrics.score(expected, predicted, CLASSES)
