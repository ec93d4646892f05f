"""Metrics of a classifier on held-out rows. Pure numpy.

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
"""With fewer held-out rows, the metrics of a class are not reliable."""

Labels = Sequence[str] | NDArray[Any]


@dataclass(frozen=True)
class Scores:
    """Metrics of a model, and of a baseline that always predicts the most common class."""

    rows: int
    metrics: Mapping[str, float]
    baseline: Mapping[str, float]
    majority: str
    """The most common class; among equals, the first in the order of the schema."""
    confusion: tuple[tuple[int, ...], ...]
    """Confusion matrix: true class by row, predicted class by column, in the order of the schema."""
    few: Mapping[str, int]
    """Class -> number of rows, for classes with fewer than `FEW_ROWS`."""


def score(expected: Labels, predicted: Labels, classes: Sequence[str]) -> Scores:
    """Compare predictions with the true classes.

    Args:
        expected: The true class of each row.
        predicted: The predicted class of each row.
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
    """Confusion matrix: true class by row, predicted class by column.

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
    correct = np.diagonal(matrix).astype(np.float64)
    support, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    # 2 TP / (2 TP + FP + FN); a class without rows and predictions counts as 0 with weight 0.
    total = support + predicted
    f1 = np.divide(2 * correct, total, out=np.zeros_like(correct), where=total > 0)
    rows = int(support.sum())
    return {ACCURACY: float(correct.sum() / rows), F1_WEIGHTED: float((f1 * support).sum() / rows)}
