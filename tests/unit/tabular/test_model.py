"""Loading validates schema and graph; prediction works for any number of rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.models import with_categories

from infra import versions
from slipway.core.errors import FailedError
from tabular import files, model
from tabular.files import MODEL, SCHEMA
from tabular.model import Model

DATA = with_categories(120)
FITTED = DATA.fit("decision-tree")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    FITTED.write(tmp_path)
    return tmp_path


def _change(folder: Path, **changes: Any) -> None:
    described = json.loads((folder / SCHEMA).read_text()) | changes
    (folder / SCHEMA).write_text(json.dumps(described))


def test_predictions_do_not_depend_on_batches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Model.load(folder).predict(DATA.train)
    monkeypatch.setattr(model, "BATCH_CELLS", 8 * 7)
    pieces = Model.load(folder).predict(DATA.train)
    assert pieces.labels.tolist() == whole.labels.tolist()
    assert np.array_equal(pieces.probabilities, whole.probabilities)


def test_no_rows_give_no_predictions(folder: Path) -> None:
    answers = Model.load(folder).predict(DATA.train.slice(0, 0))
    assert answers.labels.shape == (0,)
    assert answers.probabilities.shape == (0, 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema_version": 1}, "not a valid model schema"),
        ({"spare": 1}, "not a valid model schema"),
        ({"classes": ["a", "a"]}, "names a class twice"),
        ({"features": [{"name": "a", "kind": "number"}] * 2}, "names a feature twice"),
        (
            {"features": [{"name": "a", "kind": "category", "categories": ["x", "x"]}]},
            "names a category of 'a' twice",
        ),
        ({"classes": ["high", "low", "other"]}, "class labels are not those"),
    ],
)
def test_invalid_schemas_are_refused(folder: Path, changes: dict[str, Any], words: str) -> None:
    _change(folder, **changes)
    with pytest.raises(FailedError, match=words):
        Model.load(folder)


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, "\ud800".encode("utf-8", "surrogatepass").hex()])
def test_text_that_is_not_a_schema_is_refused(folder: Path, text: str) -> None:
    (folder / SCHEMA).write_text(text)
    with pytest.raises(FailedError, match=r"schema\.json is not a valid model schema"):
        Model.load(folder)


def test_schema_that_is_too_large_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_SCHEMA_BYTES", 10)
    with pytest.raises(FailedError, match="too large"):
        Model.load(folder)


def test_graph_is_checked_before_it_is_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / MODEL).write_bytes((folder / MODEL).read_bytes()[:-1])
    monkeypatch.setattr(model.onnxruntime, "InferenceSession", lambda *_, **__: pytest.fail("it was loaded"))
    with pytest.raises(FailedError, match="was not loaded"):
        Model.load(folder)


def test_version_in_the_outputs_is_the_locked_one() -> None:
    assert model.onnxruntime.__version__ == versions.ONNXRUNTIME
