"""The ONNX model predicts like the fitted scikit-learn pipeline."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.models import data_sets, tables, with_categories

from slipway.core.errors import UsageError
from tabular import inputs, training
from tabular.files import FILES
from tabular.model import Model

NAMES = ("iris", "wine", "digits", "wisconsin", "categories", "text labels")


@pytest.mark.parametrize("algorithm", training.ALGORITHMS)
@pytest.mark.parametrize("name", NAMES)
def test_onnx_predicts_like_scikit_learn(name: str, algorithm: str, tmp_path: Path) -> None:
    data = data_sets()[name]
    fitted = data.fit(algorithm, n_estimators=10)
    fitted.write(tmp_path)
    answers = Model.load(tmp_path).predict(data.held_out)
    rows = training.frame(data.schema, inputs.from_table(data.schema, data.held_out))
    assert answers.labels.tolist() == fitted.pipeline.predict(rows).tolist()
    probabilities = fitted.pipeline.predict_proba(rows)
    assert np.abs(answers.probabilities - probabilities).max() <= 1e-5
    assert answers.probabilities.dtype == np.float32
    assert set(answers.labels) <= set(data.schema.classes)


def test_order_of_probabilities_is_that_of_the_schema(tmp_path: Path) -> None:
    data = data_sets()["text labels"]
    fitted = data.fit()
    fitted.write(tmp_path)
    answers = Model.load(tmp_path).predict(data.held_out)
    best = [data.schema.classes[index] for index in answers.probabilities.argmax(axis=1)]
    assert best == answers.labels.tolist()
    assert data.schema.classes == ("01", "1", "1.0", "x")


@pytest.mark.parametrize("algorithm", training.ALGORITHMS)
def test_model_of_categories_alone(algorithm: str, tmp_path: Path) -> None:
    data = tables(np.zeros((60, 0)), ["a", "b", "c"] * 20, {"one": ["x", "y", "z"] * 20})
    data.fit(algorithm).write(tmp_path)
    assert Model.load(tmp_path).predict(data.held_out).labels.tolist() == data.held_out["target"].to_pylist()


def test_unknown_category_is_encoded_as_zeros(tmp_path: Path) -> None:
    data = with_categories()
    fitted = data.fit()
    fitted.write(tmp_path)
    cells = {"n0": np.float32([0.1]), "n1": np.float32([0.1]), "code": np.array(["01"], dtype=object)}
    feeds = inputs.from_columns(data.schema, cells | {"colour": np.array(["never seen"], dtype=object)})
    answer = Model.load(tmp_path).infer(feeds)
    expected = fitted.pipeline.predict_proba(training.frame(data.schema, feeds))
    assert np.abs(answer.probabilities - expected).max() <= 1e-5


def test_folder_contains_only_the_two_files(tmp_path: Path) -> None:
    data_sets()["iris"].fit().write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES


_PROGRAM = """
import hashlib
from support.models import with_categories
from tabular.training import ALGORITHMS
for algorithm in ALGORITHMS:
    fitted = with_categories(120).fit(algorithm, n_estimators=5)
    written = fitted.onnx + fitted.schema.model_dump_json().encode() + fitted.pickled()
    print(hashlib.sha256(written).hexdigest())
"""


def test_same_rows_give_the_same_bytes() -> None:
    """In two processes, because the order of a set of text depends on the process."""
    printed = [
        subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "tests:."},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1]
    assert len(set(printed[0])) == len(training.ALGORITHMS)


@pytest.mark.parametrize("algorithm", training.ALGORITHMS)
def test_fitted_rows_are_limited_and_recorded(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "MAX_SAMPLES", 50)
    monkeypatch.setattr(training, "MAX_CELLS", 8 * 100)
    monkeypatch.setattr(training, "MAX_TREE_ROWS", 120)
    data = with_categories()
    fitted = data.fit(algorithm, n_estimators=3)
    most = 50 if algorithm == "decision-tree" else 100
    assert most <= fitted.schema.parameters["rows_fitted"] <= most + len(data.schema.classes)
    if algorithm == "random-forest":
        assert fitted.pipeline["classifier"].max_samples == fitted.schema.parameters["max_samples"] == 40
    else:
        assert fitted.schema.parameters["max_samples"] is None


def test_sampling_keeps_rare_classes() -> None:
    y = np.array(["common"] * 999 + ["rare"], dtype=object)
    assert 999 in training._chosen(y, 10, seed=1)


@pytest.mark.parametrize("name", ["hist-gradient-boosting", "HistGradientBoostingClassifier"])
def test_gradient_boosting_is_refused_by_name(name: str) -> None:
    with pytest.raises(UsageError, match="does not convert to ONNX"):
        data_sets()["iris"].fit(name)


def test_unknown_algorithm_is_refused() -> None:
    with pytest.raises(UsageError, match="Use one of random-forest, decision-tree, logistic-regression"):
        data_sets()["iris"].fit("svm")


def test_model_that_is_too_large_to_serve_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = data_sets()["iris"].fit()
    monkeypatch.setattr(training.graph, "MAX_BYTES", 100)
    with pytest.raises(UsageError, match="Lower n_estimators"):
        fitted.write(tmp_path)
    assert not list(tmp_path.iterdir())
