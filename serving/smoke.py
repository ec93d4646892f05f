"""The smoke check: does the endpoint answer held-out rows as promotion's own evaluation did?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from serving.held_out import HeldOut, Labels, drawn
from serving.predict import NotAnsweringError
from slipway.core.errors import FailedError
from slipway.core.report import Report
from slipway.core.waiting import tries
from storage.registry.promotion_record import SmokeCheck
from tabular.predictions import Predictions
from tabular.schema import ModelSchema

ANSWER_SECONDS: Final = 30.0
"""Time limit from Ready to an answer through Service and gateway; when idle it takes tenths of a second."""
RETRY_SECONDS: Final = 0.5
MOST_ROWS: Final = 64
MOST_CELLS: Final = 50_000
"""Most cells of one request; with more features it has fewer rows."""
SHOWN: Final = 5
"""Number of rows shown to the user, spread over the sample because it may be ordered by class."""
TOLERANCE: Final = 1e-5
"""Largest allowed difference of a probability from the evaluated one."""

Ask = Callable[[str, ModelSchema, pa.Table], Predictions]


@dataclass(frozen=True)
class Sample:
    """Held-out rows of all classes, their true classes, and what the evaluated model answered."""

    table: pa.Table
    labels: Labels
    answers: Predictions

    @classmethod
    def of(cls, rows: HeldOut, answers: Predictions) -> "Sample":
        """Draw a sample of held-out rows, stratified by class."""
        most = max(1, min(MOST_ROWS, MOST_CELLS // len(rows.schema.features)))
        labels = rows.labels
        chosen = drawn(labels, most)
        return cls(
            rows.table.take(pa.array(chosen)),
            labels[chosen],
            Predictions(answers.labels[chosen], answers.probabilities[chosen]),
        )


def check(
    ask: Ask, url: str, schema: ModelSchema, sample: Sample, report: Report, within: float
) -> SmokeCheck:
    """Query a sample of held-out rows until the endpoint answers as the evaluation did.

    For a moment after Ready the gateway may still reach the old pod, so a difference counts
    only if it remains.

    Raises:
        NotAnsweringError: It did not answer `within` this many seconds.
        FailedError: Its answers differ from the evaluation.
    """
    for last in tries(within, RETRY_SECONDS):
        try:
            answers = ask(url, schema, sample.table)
        except NotAnsweringError:
            if last:
                raise
        else:
            differing = _difference(answers, sample.answers)
            if not differing:
                break
            if last:
                raise FailedError("The endpoint does not answer as the evaluated model did.", why=differing)
    rows = sample.table.num_rows
    right = int((answers.labels == sample.labels).sum())
    report(f"{rows} held-out rows answered as evaluated, {right} of them right")
    step = max(1, rows // SHOWN)
    return SmokeCheck(
        rows=rows,
        agreed=rows,
        accuracy=right / rows,
        largest_difference=_largest(answers, sample.answers),
        expected=tuple(sample.labels[::step][:SHOWN]),
        answered=tuple(answers.labels[::step][:SHOWN]),
    )


def _difference(answers: Predictions, expected: Predictions) -> str:
    """Describe how answers differ from the evaluated ones; empty if they agree."""
    rows = len(expected.labels)
    if len(answers.labels) != rows or answers.probabilities.shape != expected.probabilities.shape:
        return f"For {rows} rows it gave {len(answers.labels)} labels."
    wrong = int((answers.labels != expected.labels).sum())
    if wrong:
        return f"{wrong} of {rows} held-out rows have another label."
    largest = _largest(answers, expected)
    # Not `largest > TOLERANCE`: NaN compares as false.
    return "" if largest <= TOLERANCE else f"A probability differs by {largest:.3g}."


def _largest(answers: Predictions, expected: Predictions) -> float:
    return float(np.abs(answers.probabilities - expected.probabilities).max())
