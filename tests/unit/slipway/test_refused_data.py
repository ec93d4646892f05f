"""Data, thresholds and rows that can't be are refused before anything starts."""

import json

import pytest
from support.commands import StartedError, raising

from slipway import app
from slipway.commands import quickstart as quickstart_command

BAD_DATA: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "It is empty."),
    "not text": (b"a,target\n\xff\xfe,1\n", "It is not UTF-8 text."),
    "no header": (b"\n\n", "It has no header."),
    "no target": (b"a,b\n1,2\n", "No column is named 'target'"),
    "no feature": (b"target\nx\ny\n", "There is no feature column"),
    "no rows": (b"a,target\n", "It has a header and no rows."),
    "twice": (b"a,a,target\n1,2,x\n1,2,y\n", "Two columns are named 'a'."),
    "ragged": (b"a,target\n1,x\n1\n", "Line 3 has 1 cells, the header has 2."),
    "one class": (b"a,target\n1,x\n2,x\n", "The target has one class only: 'x'."),
    "rare class": (b"a,target\n1,x\n2,x\n3,y\n", "Too few rows to hold one out"),
    "missing target": (b"a,target\n1,x\n2,\n", "Line 3 has no target."),
    "words": (b"a,target\n1,x\nred,x\n3,y\n4,y\n", "Not numeric: 'a' (a has 'red' in line 3)"),
    "missing value": (
        b"a,target\n1,x\n,x\n3,y\n4,y\n",
        "Missing or infinite values in 'a' (first in line 3)",
    ),
    "infinite": (b"a,target\n1,x\ninf,x\n3,y\n4,y\n", "Missing or infinite values in 'a' (first in line 3)"),
    "open quote": (b'a,target\n"1,x\n', "unexpected end of data"),
}


@pytest.mark.parametrize("kind", BAD_DATA)
def test_bad_data_is_refused_before_anything_starts(kind, tmp_path, project, nothing_starts, capsys):
    content, why = BAD_DATA[kind]
    path = tmp_path / "churn.csv"
    path.write_bytes(content)
    assert app.main(["quickstart", "local", "--data", str(path)]) == 2
    said = capsys.readouterr()
    assert f"{path} can't be trained on." in said.err
    assert why in said.err
    assert "Preparing" not in said.err
    assert said.out == ""


def test_data_that_is_no_file_is_refused(tmp_path, project, nothing_starts, capsys):
    assert app.main(["quickstart", "local", "--data", str(tmp_path / "nosuch.csv")]) == 2
    assert "There is no such file." in capsys.readouterr().err
    assert app.main(["quickstart", "local", "--data", str(tmp_path), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["why"] == "It is not a file."


def test_data_too_large_is_refused_unread(tmp_path, project, nothing_starts, capsys):
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(129 << 20)
    assert app.main(["quickstart", "local", "--data", str(path)]) == 2
    assert "It has 129 MiB; the limit is 128 MiB." in capsys.readouterr().err


def test_good_data_goes_on(tmp_path, project, nothing_starts, monkeypatch):
    """The control of the refusals above."""
    path = tmp_path / "churn.csv"
    path.write_text("a,target\n1,x\n2,x\n3,y\n4,y\n")
    monkeypatch.setattr(quickstart_command, "ready", raising(StartedError()))
    with pytest.raises(StartedError):
        app.main(["quickstart", "local", "--data", str(path)])


@pytest.mark.parametrize("threshold", ["2", "-0.1", "nan", "inf"])
@pytest.mark.parametrize(
    "command", [["quickstart", "local"], ["pipeline", "run", "training", "--model", "churn"]], ids=" ".join
)
def test_a_threshold_that_no_model_can_be_held_to_is_refused(
    command, threshold, project, nothing_starts, capsys
):
    assert app.main([*command, "--threshold", threshold]) == 2
    assert "can't be an accuracy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["training", "--model", "Churn!"], "'Churn!' can't name a model."),
        (["nosuch", "--model", "churn"], "There is no pipeline 'nosuch'."),
        (["training", "--model", "churn", "--data", "nosuch.csv"], "nosuch.csv can't be trained on."),
        (["iris", "--model", "iris", "--data", "nosuch.csv"], "The pipeline iris takes no data"),
    ],
)
def test_a_run_that_can_not_be_is_refused_before_the_platform_is_asked(
    arguments, what, project, nothing_starts, capsys
):
    assert app.main(["pipeline", "run", *arguments]) == 2
    assert what in capsys.readouterr().err


def test_rows_that_can_not_be_asked_for_are_refused(tmp_path, project, nothing_starts, capsys):
    path = tmp_path / "rows.csv"
    for content, what in (("a\n", "holds no rows"), ("a\nred\n", "is not a table of numbers")):
        path.write_text(content)
        assert app.main(["model", "predict", "churn", "--data", str(path)]) == 2
        assert what in capsys.readouterr().err
