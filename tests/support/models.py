"""Tables and models of known data sets, fitted like in the pipelines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn import datasets

from tabular import training
from tabular.schema import Feature, ReadOptions, RowCounts, Split, TableSchema


@dataclass(frozen=True)
class Tables:
    """Training and held-out rows, and their schema."""

    schema: TableSchema
    train: pa.Table
    held_out: pa.Table

    def fit(self, algorithm: str = "random-forest", **parameters: Any) -> training.Fitted:
        return training.fit(self.train, self.schema, training.Parameters(algorithm, **parameters))


def tables(
    numbers: np.ndarray, y: Sequence[str], categories: Mapping[str, Sequence[str]] | None = None
) -> Tables:
    """Hold out every fifth row of a data set."""
    values = np.asarray(numbers, dtype=np.float32)
    columns: dict[str, Any] = {f"n{index}": values[:, index] for index in range(values.shape[1])}
    columns |= {name: pa.array(cells, pa.string()) for name, cells in (categories or {}).items()}
    table = pa.table(columns | {"target": pa.array(list(y), pa.string())})
    held_out = np.arange(len(y)) % 5 == 0
    train = table.filter(pa.array(~held_out))
    features = [
        Feature(name=name, kind="category", categories=tuple(sorted(train.column(name).unique().to_pylist())))
        if name in (categories or {})
        else Feature(name=name, kind="number")
        for name in columns
    ]
    schema = TableSchema(
        features=tuple(features),
        classes=tuple(sorted(set(y))),
        data_sha256="0" * 64,
        read=ReadOptions(),
        split=Split(),
        rows=RowCounts(train=train.num_rows, held_out=int(held_out.sum())),
    )
    return Tables(schema, train, table.filter(pa.array(held_out)))


def _bundled(load: Callable[[], Any]) -> Tables:
    bunch = load()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    return tables(bunch.data[order], [str(bunch.target_names[index]) for index in bunch.target[order]])


def with_categories(rows: int = 600, seed: int = 0) -> Tables:
    """Two numbers and two categories, one of which looks like numbers; three classes."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(rows, 2))
    colour = random.choice(["red", "grün", "blue 3"], rows).tolist()
    code = random.choice(["01", "1", "10"], rows).tolist()
    score = numbers[:, 0] + np.array([each == "red" for each in colour]) - np.array([c == "01" for c in code])
    y = np.where(score > 0.5, "high", np.where(numbers[:, 1] > 0, "low", "none"))
    return tables(numbers, y.tolist(), {"colour": colour, "code": code})


def with_text_labels(rows: int = 600, seed: int = 0) -> Tables:
    """Classes that would change or become equal if they were parsed as numbers."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(rows, 3))
    y = np.array(["01", "1", "1.0", "x"])[(numbers[:, 0] > 0) * 2 + (numbers[:, 1] > 0)]
    return tables(numbers, y.tolist())


@cache
def data_sets() -> Mapping[str, Tables]:
    """The six data sets on which ONNX and scikit-learn are compared."""
    return {
        "iris": _bundled(datasets.load_iris),
        "wine": _bundled(datasets.load_wine),
        "digits": _bundled(datasets.load_digits),
        "wisconsin": _bundled(datasets.load_breast_cancer),
        "categories": with_categories(),
        "text labels": with_text_labels(),
    }
