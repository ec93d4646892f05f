"""A model: its schema, and answers by onnxruntime.

The files come from a run, so nothing of them is believed: the schema is read strictly, and the graph
is checked (tabular.graph) before onnxruntime sees it.
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
"""Encoded numbers a call (8 MiB), so that many rows do not take memory for all of them at once."""


@dataclass(frozen=True)
class Model:
    """A model that was checked and can be asked."""

    schema: ModelSchema
    session: onnxruntime.InferenceSession

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1) -> "Model":
        """Check the model in `folder` and load it.

        Args:
            folder: Holds `model.onnx` and `schema.json`.
            threads: How many onnxruntime may use for one call.

        Raises:
            FailedError: It isn't a model, or may not be loaded.
        """
        schema = read_schema(folder / SCHEMA)
        content = graph.check(folder / MODEL, schema)
        return cls(schema, _session(content, threads))

    def predict(self, table: "pa.Table") -> Predictions:
        """Answer each row of a table.

        Raises:
            InputError: A feature is missing, has another type, or a cell can't be used.
        """
        return self.answer(inputs.from_table(self.schema, table))

    def answer(self, feeds: inputs.Feeds) -> Predictions:
        """Answer rows that are model inputs already (tabular.inputs).

        Raises:
            FailedError: The graph did not give one class and one row of probabilities for each row.
        """
        rows = len(next(iter(feeds.values())))
        answers = [self._answer(batch) for batch in _batches(feeds, rows, self._batch_rows)]
        return Predictions(
            np.concatenate([each.labels for each in answers]),
            np.concatenate([each.probabilities for each in answers]),
        )

    @property
    def _batch_rows(self) -> int:
        width = len(self.schema.numbers) + sum(len(each.categories) for each in self.schema.features)
        return max(1, BATCH_CELLS // width)

    def _answer(self, feeds: inputs.Feeds) -> Predictions:
        labels, probabilities = self.session.run([LABEL, PROBABILITIES], feeds)
        rows = len(next(iter(feeds.values())))
        if labels.shape != (rows,) or probabilities.shape != (rows, len(self.schema.classes)):
            raise FailedError(
                "The model does not answer one class for each row.",
                why=f"For {rows} rows it gave shapes {labels.shape} and {probabilities.shape}.",
            )
        return Predictions(labels, probabilities)


def _session(content: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # Warnings of the library; what fails is raised.
    # Threads that wait in a loop take a CPU that other pods could use.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The arena keeps what the largest call needed; these calls are small.
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise FailedError("onnxruntime can't load the model.", why=str(error)[:300]) from error


def _batches(feeds: inputs.Feeds, rows: int, most: int) -> Iterator[inputs.Feeds]:
    for start in range(0, max(rows, 1), most):
        yield {name: values[start : start + most] for name, values in feeds.items()}
