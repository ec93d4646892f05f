"""Figures of a classifier on rows that it has not seen. Pure numpy.

Definitions are those of scikit-learn's `accuracy_score`, `f1_score(average="weighted",
zero_division=0)` and `confusion_matrix`; a test compares them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ACCURACY: Final = "accuracy"
F1_WEIGHTED: Final = "f1_weighted"
FEW_ROWS: Final = 5
"""With fewer held-out rows of a class, the figures say little of it."""

Labels = Sequence[str] | NDArray[Any]


@dataclass(frozen=True)
class Scores:
    """How a model did on some rows, and how one that always answers the most common class would."""

    rows: int
    metrics: Mapping[str, float]
    baseline: Mapping[str, float]
    majority: str
    """The most common class; the first of the schema's order among equals."""
    confusion: tuple[tuple[int, ...], ...]
    """Rows by class as it is (down) and as it was predicted (across), in the order of the schema."""
    few: Mapping[str, int]
    """Classes with fewer than `FEW_ROWS` rows, and how many they have."""


def score(expected: Labels, predicted: Labels, classes: Sequence[str]) -> Scores:
    """Compare predictions with what is true.

    Args:
        expected: The true class of each row.
        predicted: The model's class of each row.
        classes: All classes, in the order of the schema.

    Raises:
        ValueError: There are no rows, the lengths differ, or a label is not among the classes.
    """
    matrix = confusion(expected, predicted, classes)
    support = matrix.sum(axis=1)
    constant = np.zeros_like(matrix)
    most = int(support.argmax())
    constant[:, most] = support
    return Scores(
        rows=int(matrix.sum()),
        metrics=_figures(matrix),
        baseline=_figures(constant),
        majority=classes[most],
        confusion=tuple(tuple(row) for row in matrix.tolist()),
        few={name: int(n) for name, n in zip(classes, support, strict=True) if n < FEW_ROWS},
    )


def confusion(expected: Labels, predicted: Labels, classes: Sequence[str]) -> NDArray[np.int64]:
    """Rows by class as it is (down) and as it was predicted (across).

    Raises:
        ValueError: There are no rows, the lengths differ, or a label is not among the classes.
    """
    if len(expected) != len(predicted) or len(expected) == 0:
        raise ValueError(f"{len(predicted)} predictions for {len(expected)} rows can't be scored")
    place = {name: index for index, name in enumerate(classes)}
    try:
        down = np.fromiter((place[each] for each in expected), dtype=np.int64, count=len(expected))
        across = np.fromiter((place[each] for each in predicted), dtype=np.int64, count=len(predicted))
    except KeyError as error:
        raise ValueError(f"label {str(error.args[0])[:60]!r} is not among the classes") from error
    size = len(classes)
    return np.bincount(down * size + across, minlength=size * size).reshape(size, size)


def _figures(matrix: NDArray[np.int64]) -> dict[str, float]:
    right = np.diagonal(matrix).astype(np.float64)
    support, answered = matrix.sum(axis=1), matrix.sum(axis=0)
    # 2 TP / (2 TP + FP + FN); a class without rows and answers counts 0 with weight 0.
    total = support + answered
    f1 = np.divide(2 * right, total, out=np.zeros_like(right), where=total > 0)
    rows = int(support.sum())
    return {ACCURACY: float(right.sum() / rows), F1_WEIGHTED: float((f1 * support).sum() / rows)}
