"""Fit a classifier on training rows, and convert it to ONNX.

All numbers are float32, as at prediction time: with trees fitted on float64, thresholds fall between
float32 values, and probabilities differ by up to 0.09 (measured 2026-11-28). Trees get no scaler, which
would only add rounding.
"""

import pickle
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from slipway.core.errors import UsageError
from tabular import graph, inputs
from tabular.files import MODEL, SCHEMA
from tabular.schema import CATEGORIES, LABEL, NUMBERS, PROBABILITIES, ModelSchema, TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

ALGORITHMS: Final = ("random-forest", "decision-tree", "logistic-regression")
MAX_SAMPLES: Final = 100_000
"""Limit of the rows that one tree is fitted on."""
MAX_TREE_ROWS: Final = 2_000_000
"""Limit of rows times trees of a forest: it bounds the time; with more trees, each gets fewer rows."""
MAX_FOREST_ROWS: Final = 200_000
"""Limit of the rows of a forest: with more, sampling takes longer than fitting."""
MAX_CELLS: Final = 64 << 20
"""Limit of the encoded numbers in memory (256 MiB); rows beyond it are not used for fitting."""
_OPSET: Final = {"": 21, "ai.onnx.ml": 3}


@dataclass(frozen=True)
class Parameters:
    """Parameters of the fit."""

    algorithm: str = "random-forest"
    n_estimators: int = 100
    max_depth: int = 10
    seed: int = 42


@dataclass(frozen=True)
class Fitted:
    """A fitted model in both formats, with its schema."""

    pipeline: Any
    """The scikit-learn pipeline; `frame` creates its input."""
    onnx: bytes
    schema: ModelSchema

    def write(self, folder: Path) -> None:
        """Write the model's two files, and check that they can be served.

        Raises:
            UsageError: The model is too large to serve.
        """
        if len(self.onnx) > graph.MAX_BYTES:
            raise UsageError(
                f"The model has {len(self.onnx) >> 20} MiB; the limit is {graph.MAX_BYTES >> 20} MiB.",
                fix="Lower n_estimators or max_depth.",
            )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MODEL).write_bytes(self.onnx)
        (folder / SCHEMA).write_text(self.schema.model_dump_json(indent=1) + "\n")
        graph.check(folder / MODEL, self.schema)

    def pickled(self) -> bytes:
        """The scikit-learn pipeline, for inspection. Slipway never loads or serves it."""
        return pickle.dumps(self.pipeline, protocol=4)


def fit(table: "pa.Table", schema: TableSchema, parameters: Parameters) -> Fitted:
    """Fit on the rows of a table. The same table and parameters give the same bytes.

    Args:
        table: Training rows with the features and the target of `schema`.
        schema: The schema that `preprocess` derived from the data.
        parameters: Parameters of the fit.

    Raises:
        UsageError: The algorithm is unknown or can't be served.
    """
    y = table.column(schema.read.target).to_numpy().astype(object)
    chosen = _chosen(y, _most_rows(schema, parameters), parameters.seed)
    if len(chosen) < len(y):
        table, y = table.take(chosen), y[chosen]
    pipeline = _pipeline(schema, parameters, len(y))
    pipeline.fit(frame(schema, inputs.from_table(schema, table)), y)
    described = ModelSchema(
        **schema.model_dump(),
        frameworks=_frameworks(),
        parameters={
            "algorithm": parameters.algorithm,
            "max_depth": parameters.max_depth,
            "max_samples": _rows_a_tree(parameters, len(y)),
            "n_estimators": parameters.n_estimators,
            "rows_fitted": len(y),
            "seed": parameters.seed,
        },
    )
    return Fitted(pipeline, _converted(pipeline, schema), described)


def frame(schema: TableSchema, feeds: inputs.Feeds) -> Any:  # noqa: ANN401 - pandas has no types here
    """The input of the scikit-learn pipeline: numbers first, then categories, by position."""
    import pandas as pd  # noqa: PLC0415  # only in the image of the steps

    parts = []
    if schema.numbers:
        parts.append(pd.DataFrame(feeds[NUMBERS], columns=list(schema.numbers), copy=False))
    if schema.categorical:
        parts.append(pd.DataFrame(feeds[CATEGORIES], columns=list(schema.categorical), dtype=object))
    return parts[0] if len(parts) == 1 else pd.concat(parts, axis=1)


def _pipeline(schema: TableSchema, parameters: Parameters, rows: int) -> Any:  # noqa: ANN401 - scikit-learn has no types here
    from sklearn.compose import ColumnTransformer  # noqa: PLC0415  # only in the image of the steps
    from sklearn.pipeline import Pipeline  # noqa: PLC0415
    from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: PLC0415

    scaled = parameters.algorithm == "logistic-regression"
    classifier = _classifier(parameters, rows)
    numbers, categories = len(schema.numbers), len(schema.categorical)
    parts: list[tuple[str, Any, list[int]]] = []
    if numbers:
        parts.append((NUMBERS, StandardScaler() if scaled else "passthrough", list(range(numbers))))
    if categories:
        known = [np.array(each.categories, dtype=object) for each in schema.features if each.categories]
        # All columns of an unknown category are 0.
        encoder = OneHotEncoder(
            categories=known, handle_unknown="ignore", sparse_output=False, dtype=np.float32
        )
        parts.append((CATEGORIES, encoder, list(range(numbers, numbers + categories))))
    return Pipeline([("features", ColumnTransformer(parts)), ("classifier", classifier)])


def _classifier(parameters: Parameters, rows: int) -> Any:  # noqa: ANN401 - scikit-learn has no types here
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415

    depth, seed = parameters.max_depth, parameters.seed
    match parameters.algorithm:
        case "random-forest":
            return RandomForestClassifier(
                parameters.n_estimators,
                max_depth=depth,
                max_samples=_rows_a_tree(parameters, rows),
                random_state=seed,
            )
        case "decision-tree":
            return DecisionTreeClassifier(max_depth=depth, random_state=seed)
        case "logistic-regression":
            return LogisticRegression(max_iter=1000)
        case other:
            raise UsageError(
                f"Algorithm {other!r} can't be used.",
                why="hist-gradient-boosting does not convert to ONNX with the pinned skl2onnx and onnx."
                if other.replace("-", "").replace("_", "").lower().startswith("histgradientboosting")
                else "",
                fix=f"Use one of {', '.join(ALGORITHMS)}.",
            )


def _rows_a_tree(parameters: Parameters, rows: int) -> int | None:
    """Rows that each tree of a forest samples; None for all."""
    if parameters.algorithm != "random-forest":
        return None
    most = min(MAX_SAMPLES, max(MAX_TREE_ROWS // parameters.n_estimators, 1))
    return most if most < rows else None


def _most_rows(schema: TableSchema, parameters: Parameters) -> int:
    """Limit of the rows to fit on."""
    width = len(schema.numbers) + sum(len(each.categories) for each in schema.features)
    bound = {"random-forest": MAX_FOREST_ROWS, "decision-tree": MAX_SAMPLES}
    fitting = max(MAX_CELLS // width, 1)
    return min(fitting, bound.get(parameters.algorithm, fitting))


def _chosen(y: NDArray[np.object_], most: int, seed: int) -> NDArray[np.int64]:
    """Indexes of about `most` rows, in order, with at least one row of each class."""
    if len(y) <= most:
        return np.arange(len(y))
    _, first = np.unique(y, return_index=True)
    drawn = np.random.default_rng(seed).choice(len(y), size=most, replace=False)
    return np.union1d(first, drawn)


def _converted(pipeline: Any, schema: TableSchema) -> bytes:  # noqa: ANN401 - scikit-learn has no types here
    from skl2onnx import convert_sklearn  # noqa: PLC0415  # only in the image of the steps
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType  # noqa: PLC0415

    initial_types: list[tuple[str, Any]] = []
    if schema.numbers:
        initial_types.append((NUMBERS, FloatTensorType([None, len(schema.numbers)])))
    if schema.categorical:
        initial_types.append((CATEGORIES, StringTensorType([None, len(schema.categorical)])))
    converted = convert_sklearn(
        pipeline,
        name="classifier",
        initial_types=initial_types,
        options={"zipmap": False},
        target_opset=_OPSET,
    )
    assert [each.name for each in converted.graph.output] == [LABEL, PROBABILITIES]
    content: bytes = converted.SerializeToString(deterministic=True)
    return content


def _frameworks() -> dict[str, str]:
    import onnx  # noqa: PLC0415
    import skl2onnx  # noqa: PLC0415  # only in the image of the steps
    import sklearn  # noqa: PLC0415

    return {
        "numpy": np.__version__,
        "onnx": onnx.__version__,
        "python": platform.python_version(),
        "scikit-learn": sklearn.__version__,
        "skl2onnx": skl2onnx.__version__,
    }
