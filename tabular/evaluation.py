"""How a model does on held-out rows, and whether ONNX and scikit-learn answer them alike."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tabular import inputs
from tabular.metrics import Scores, score
from tabular.model import Model
from tabular.predictions import Predictions

if TYPE_CHECKING:
    import pyarrow as pa

TOLERANCE: Final = 1e-5
"""How far apart two probabilities may lie; float32 rounds by up to 7e-7 on the data sets measured."""


def evaluate(model: Model, pipeline: Any, table: "pa.Table") -> tuple[Scores, int]:  # noqa: ANN401 - scikit-learn's
    """Score a model on held-out rows, and count the rows that scikit-learn answers differently.

    Args:
        model: What would be served.
        pipeline: The scikit-learn pipeline that it was made of.
        table: Held-out rows with features and target.

    Returns:
        The scores of `model`, and how many rows differ in the label or a probability.
    """
    feeds = inputs.from_table(model.schema, table)
    answers = model.answer(feeds)
    expected = table.column(model.schema.read.target).to_pylist()
    return score(expected, answers.labels, model.schema.classes), _differing(model, pipeline, feeds, answers)


def _differing(model: Model, pipeline: Any, feeds: inputs.Feeds, answers: Predictions) -> int:  # noqa: ANN401 - scikit-learn's
    from tabular.training import frame  # noqa: PLC0415  # with pandas, of the steps' image alone

    rows = frame(model.schema, feeds)
    labels = pipeline.predict(rows)
    probabilities = pipeline.predict_proba(rows)
    apart = np.abs(probabilities - answers.probabilities).max(axis=1) > TOLERANCE
    return int(((labels != answers.labels) | apart).sum())
