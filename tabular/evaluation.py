"""Score a model on held-out rows, and compare the predictions of ONNX and scikit-learn."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tabular import inputs
from tabular.metrics import Scores, score
from tabular.model import Model
from tabular.predictions import Predictions

if TYPE_CHECKING:
    import pyarrow as pa

TOLERANCE: Final = 1e-5
"""Largest accepted difference of two probabilities; float32 differs by up to 7e-7 on measured data sets."""


def evaluate(model: Model, pipeline: Any, table: "pa.Table") -> tuple[Scores, int]:  # noqa: ANN401 - scikit-learn's
    """Score a model on held-out rows, and count the rows for which scikit-learn predicts something else.

    Args:
        model: The model that would be served.
        pipeline: The scikit-learn pipeline that it was converted from.
        table: The held-out rows, with features and target.

    Returns:
        The scores of `model`, and the number of rows that differ in the label or in a probability.
    """
    feeds = inputs.from_table(model.schema, table)
    predictions = model.infer(feeds)
    expected = table.column(model.schema.read.target).to_pylist()
    return score(expected, predictions.labels, model.schema.classes), _differing(
        model, pipeline, feeds, predictions
    )


def _differing(model: Model, pipeline: Any, feeds: inputs.Feeds, predictions: Predictions) -> int:  # noqa: ANN401 - scikit-learn's
    from tabular.training import frame  # noqa: PLC0415  # imports pandas, which only the image of the steps has

    rows = frame(model.schema, feeds)
    labels = pipeline.predict(rows)
    probabilities = pipeline.predict_proba(rows)
    apart = np.abs(probabilities - predictions.probabilities).max(axis=1) > TOLERANCE
    return int(((labels != predictions.labels) | apart).sum())
