"""A model: its schema, and predictions by onnxruntime.

The files come from a run, so they are not trusted: the schema is validated strictly, and the graph is
checked (tabular.graph) before onnxruntime loads it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import onnxruntime

from slipway.core.errors import FailedError
from tabular import graph, inputs
from tabular.files import MODEL, SCHEMA, read_schema
from tabular.predictions import Predictions
from tabular.schema import LABEL, PROBABILITIES, ModelSchema

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_CELLS: Final = 2 << 20
"""Encoded numbers per call (8 MiB); bounds the memory of a prediction on many rows."""


@dataclass(frozen=True)
class Model:
    """A model that was checked and loaded."""

    schema: ModelSchema
    session: onnxruntime.InferenceSession

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1) -> "Model":
        """Check the model in `folder` and load it.

        Args:
            folder: Contains `model.onnx` and `schema.json`.
            threads: Threads that onnxruntime may use for one call.

        Raises:
            FailedError: It is not a valid or not a permitted model.
        """
        schema = read_schema(folder / SCHEMA)
        content = graph.check(folder / MODEL, schema)
        return cls(schema, _session(content, threads))

    def predict(self, table: "pa.Table") -> Predictions:
        """Predict each row of a table.

        Raises:
            InputError: A feature is missing or has the wrong type, or a cell is not valid.
        """
        return self.infer(inputs.from_table(self.schema, table))

    def infer(self, feeds: inputs.Feeds) -> Predictions:
        """Predict rows that are already converted to model inputs (tabular.inputs).

        Raises:
            FailedError: The graph did not return one class and one row of probabilities for each row.
        """
        rows = len(next(iter(feeds.values())))
        predictions = [self._infer_batch(batch) for batch in _batches(feeds, rows, self._batch_rows)]
        return Predictions(
            np.concatenate([each.labels for each in predictions]),
            np.concatenate([each.probabilities for each in predictions]),
        )

    @property
    def _batch_rows(self) -> int:
        width = len(self.schema.numbers) + sum(len(each.categories) for each in self.schema.features)
        return max(1, BATCH_CELLS // width)

    def _infer_batch(self, feeds: inputs.Feeds) -> Predictions:
        labels, probabilities = self.session.run([LABEL, PROBABILITIES], feeds)
        rows = len(next(iter(feeds.values())))
        if labels.shape != (rows,) or probabilities.shape != (rows, len(self.schema.classes)):
            raise FailedError(
                "The model did not return one class for each row.",
                why=f"For {rows} rows it returned shapes {labels.shape} and {probabilities.shape}.",
            )
        return Predictions(labels, probabilities)


def _session(content: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # Fatal messages only; errors are raised.
    # Spinning threads use CPU time that other pods need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The arena never returns the memory of the largest call; these calls are small.
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise FailedError("onnxruntime can't load the model.", why=str(error)[:300]) from error


def _batches(feeds: inputs.Feeds, rows: int, most: int) -> Iterator[inputs.Feeds]:
    for start in range(0, max(rows, 1), most):
        yield {name: values[start : start + most] for name, values in feeds.items()}
