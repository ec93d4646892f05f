"""Asking a model about a file: by name, checked whole, in batches that fit a request."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.platform import outputs

from slipway.cli import app
from slipway.core.errors import FailedError
from slipway.operations import prediction, workspace
from storage.registry.records import ModelVersion
from tabular import v2
from tabular.predictions import Predictions
from tabular.requests import MAX_BYTES
from tabular.schema import Feature, ModelSchema, ReadOptions, RowCounts, Split

SCHEMA = ModelSchema(
    features=(
        Feature(name="x1", kind="number"),
        Feature(name="x2", kind="number"),
        Feature(name="colour", kind="category", categories=("blue", "red")),
    ),
    classes=("01", "1"),
    data_sha256="0" * 64,
    read=ReadOptions(),
    split=Split(),
    rows=RowCounts(train=8, held_out=2),
    frameworks={},
    parameters={},
)
VERSION = ModelVersion(
    tenant="team-a",
    model="churn",
    digest="d" * 64,
    files=(),
    storage_uri="s3://models/team-a/churn/versions/d/files",
)


class Endpoint:
    """Answers `01` where x1 is greater than x2, and keeps what it was asked."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def ask(self, url, schema, table):
        self.sizes.append(len(json.dumps(v2.request(schema, table))))
        first = table["x1"].to_numpy() > table["x2"].to_numpy()
        labels = np.where(first, "01", "1").astype(object)
        probabilities = np.where(first[:, None], [0.75, 0.25], [0.125, 0.875]).astype(np.float32)
        return Predictions(labels, probabilities)


@pytest.fixture
def endpoint(monkeypatch):
    served = Endpoint()
    monkeypatch.setattr(prediction, "_served", lambda outputs, tenant, model: (VERSION, SCHEMA))
    return served


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def answers(folder: Path, content: str, endpoint: Endpoint) -> prediction.Answers:
    path = write(folder, content)
    return prediction.ask_rows(outputs("http://store"), "team-a", "churn", path, ask=endpoint.ask)


@pytest.mark.parametrize(
    "content",
    [
        "x1,x2,colour\n2,1,red\n1,2,blue\n",
        "x2,x1,colour\n1,2,red\n2,1,blue\n",
        "colour;target;x2;x1\nred;;1;2\nblue;;2;1\n",
    ],
)
def test_columns_in_any_order_give_the_same_answers(tmp_path, endpoint, content):
    found = answers(tmp_path, content, endpoint)
    assert [found.classes[code] for code in found.labels] == ["01", "1"]
    assert found.probabilities.tolist() == [0.75, 0.875]


def test_notes_say_what_was_ignored_and_what_is_unknown(tmp_path, endpoint):
    found = answers(tmp_path, "x1,x2,colour,target\n1,2,green,a\n", endpoint)
    assert found.notes == (
        "Ignored: column 'target', which the model was not trained on.",
        "1 cells of column 'colour' hold values that the model does not know.",
    )


def test_a_large_file_is_asked_about_in_requests_that_fit(tmp_path, endpoint):
    count = 100_000
    rows = "".join(f"{i}.125,{count - i}.5,{'red' if i % 2 else 'x' * 40}\n" for i in range(count))
    found = answers(tmp_path, "x1,x2,colour\n" + rows, endpoint)
    assert len(found.labels) == count
    assert found.labels.tolist() == [int(i <= count - i) for i in range(count)]
    assert len(endpoint.sizes) > 1
    assert max(endpoint.sizes) < MAX_BYTES / 2


@pytest.fixture
def command(monkeypatch, endpoint):
    monkeypatch.setattr(workspace, "outputs", lambda stack: outputs("http://store"))
    ask_rows = prediction.ask_rows
    monkeypatch.setattr(prediction, "ask_rows", lambda *arguments: ask_rows(*arguments, ask=endpoint.ask))

    def run(path: Path, *more: str) -> int:
        return app.main(["model", "predict", "churn", "--data", str(path), *more])

    return run


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("foo,bar,colour\n1,2,red\n", "The model needs the columns 'x1', 'x2'"),
        ("x1,x2,colour,x3\n1,2,red,3\n", "The model does not have the column 'x3'"),
        ("x1,x2,colour\n1,2,red\n1,nan,red\n", "Line 3, column 'x2': The value is missing."),
        ("x1,x2,colour\n1,inf,red\n", "Line 2, column 'x2': 'inf' is not a finite number"),
        ("x1,x2,colour\n1,1e309,red\n", "Line 2, column 'x2': '1e309' is outside"),
        ("x1,x2,colour\n1,2,red,3\n", "Line 2 has 4 cells, the header has 3."),
        ("x1,x2,colour\n1,2,r\xe9d\n".encode("latin-1"), "line 2 contains the byte 0xE9"),
        ("x1,x2,colour\n1,2,red\n".encode("utf-16"), "It is text in UTF-16"),
        ("x1,x2,colour\n", "It has a header and no rows."),
    ],
)
def test_a_file_that_does_not_fit_is_refused_before_it_is_sent(
    tmp_path, command, endpoint, capsys, content, why
):
    assert command(write(tmp_path, content)) == 2
    shown = capsys.readouterr().err
    assert why in shown
    assert "rows.csv" in shown
    assert "Traceback" not in shown
    assert endpoint.sizes == []


def test_answers_are_labels_as_written(tmp_path, command, capsys):
    path = write(tmp_path, "x1,x2,colour\n2,1,red\n1,2,blue\n")
    assert command(path, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["labels"], shown["classes"]) == (["01", "1"], ["01", "1"])
    assert shown["probabilities"] == [0.75, 0.875]
    assert command(path) == 0
    assert "1    01     0.7500" in capsys.readouterr().out


def test_a_version_without_a_schema_is_not_asked():
    with pytest.raises(FailedError, match="It has no schema"):
        prediction.read_schema(None, VERSION)
