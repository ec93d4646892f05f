"""Data, thresholds and rows that can't be are refused before anything starts."""

import json

import pytest
from support.commands import StartedError, raising

from slipway.cli import app, render
from slipway.operations import workspace

ROWS = "".join(f"{i},{'xy'[i % 2]}\n" for i in range(20)).encode()
BAD_DATA: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "It is empty."),
    "not text": (b"a,target\n\xff\xfe,1\n", "It is not UTF-8 text: line 2 contains the byte 0xFF."),
    "no header": (b"\n\n", "It is empty."),
    "no target": (b"a,b\n1,2\n", "There is no column 'target'"),
    "no feature": (b"target\nx\ny\n", "There is no feature column"),
    "no rows": (b"a,target\n", "It has a header and no rows."),
    "twice": (b"a,a,target\n1,2,x\n1,2,y\n", "Columns 1 and 2 are both named 'a'."),
    "ragged": (b"a,target\n1,x\n1\n", "Line 3 has 1 cells, the header has 2."),
    "one class": (b"a,target\n1,x\n2,x\n", "has only one class: 'x'."),
    "rare class": (b"a,target\n99,z\n" + ROWS, "Too few distinct rows to hold one out"),
    "few rows": (b"a,target\n1,x\n2,x\n3,y\n4,y\n", "A test split of 0.2 of 4 distinct rows is not enough"),
    "missing target": (b"a,target\n1,x\n2,\n", "Line 3, column 'target': The value is missing."),
    "missing value": (b"a,target\n1,x\n,x\n" + ROWS, "Line 3, column 'a': The value is missing."),
    "infinite": (b"a,target\n1,x\ninf,x\n" + ROWS, "Line 3, column 'a': 'inf' is not a finite number"),
    "open quote": (b'a,target\n1,"x\n', "A quote in the row that begins at line 2 is not closed."),
    "saved index": (b",a,target\n0,1,x\n", "Column 1 has no name"),
    "an identifier": (
        b"a,target\n" + b"".join(b"id-%d,%d\n" % (i, i % 2) for i in range(20)),
        "it may be an identifier",
    ),
    "a thousand classes": (
        b"a,target\n" + b"".join(b"%d,c%d\n" % (i, i // 2) for i in range(2000)),
        "has more than 256 classes",
    ),
    "a number to predict": (
        b"a,target\n" + b"".join(b"%d,%d.5\n" % (i, i) for i in range(100)),
        "so this is a regression; only classification is supported.",
    ),
}


@pytest.mark.parametrize("kind", BAD_DATA)
def test_bad_data_is_refused_before_anything_starts(kind, tmp_path, project, nothing_starts, capsys):
    content, why = BAD_DATA[kind]
    path = tmp_path / "churn.csv"
    path.write_bytes(content)
    assert app.main(["quickstart", "local", "--data", str(path)]) == 2
    printed = capsys.readouterr()
    assert f"{path} can't be used." in printed.err
    assert why in printed.err
    assert "Preparing" not in printed.err
    assert printed.out == ""


def test_data_that_is_no_file_is_refused(tmp_path, project, nothing_starts, capsys):
    assert app.main(["quickstart", "local", "--data", str(tmp_path / "nosuch.csv")]) == 2
    assert "There is no such file." in capsys.readouterr().err
    assert app.main(["quickstart", "local", "--data", str(tmp_path), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["why"] == "It is not a file."


def test_data_too_large_is_refused_unread(tmp_path, project, nothing_starts, capsys):
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate((2 << 30) + (1 << 20))
    assert app.main(["quickstart", "local", "--data", str(path)]) == 2
    assert "Its size is 2049 MiB; the limit is 2048 MiB." in capsys.readouterr().err


@pytest.mark.parametrize("name", ["churn.csv", "colon:x.csv", "100% \u00fc & \u2028.csv", "-dash.csv"])
def test_good_data_goes_on_whatever_its_name_is(tmp_path, name, project, nothing_starts, monkeypatch):
    """The control of the refusals above."""
    path = tmp_path / name
    path.write_bytes(b"a,target\n" + ROWS)
    monkeypatch.setattr(workspace, "ready", raising(StartedError()))
    with pytest.raises(StartedError):
        app.main(["quickstart", "local", "--data", str(path)])


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--test-split", "1"], "--test-split 1 can't be a share"),
        (["--test-split", "nan"], "--test-split nan can't be a share"),
        (["--seed", "-1"], "--seed -1 can't be used"),
        (["--target", " "], "--target is empty"),
        (["--drop", "b"], "There is no column 'b' to drop"),
        (["--drop", "target"], "The target 'target' can't be dropped"),
    ],
)
@pytest.mark.parametrize("command", [["data", "check"], ["quickstart", "local", "--data"]], ids=" ".join)
def test_an_option_that_does_not_fit_is_refused(
    command, options, what, tmp_path, project, nothing_starts, capsys
):
    path = tmp_path / "churn.csv"
    path.write_bytes(b"a,target\n" + ROWS)
    assert app.main([*command, str(path), *options]) == 2
    assert what in capsys.readouterr().err


def test_options_of_a_file_want_a_file(project, nothing_starts, capsys):
    assert app.main(["pipeline", "run", "training", "--model", "m", "--target", "x"]) == 2
    assert "Name it with --data." in capsys.readouterr().err


def test_the_check_shows_the_data_as_read_without_a_platform(tmp_path, nothing_starts, capsys):
    path = tmp_path / "churn.csv"
    rows = [f"{i},{i * 7 % 31},{('red', 'blue')[i % 2]},{('01', '1')[i % 3 // 2]}\n" for i in range(90)]
    path.write_text("id,a,colour,churned\n" + "".join(rows))
    arguments = ["data", "check", str(path), "--target", "churned", "--drop", "id"]
    assert app.main(arguments) == 0
    shown = capsys.readouterr().out
    for text in (
        "90: ",
        " held out",
        "colour (2)",
        "churned",
        "id",
        "the same number in different notations",
    ):
        assert text in shown
    assert app.main([*arguments, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert [(each["label"], each["rows"]) for each in summary["classes"]] == [("01", 60), ("1", 30)]


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\nb", ""])
def test_a_name_that_a_terminal_would_act_on_is_quoted(text):
    assert render.plain(text) == repr(text)


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
        (["training", "--model", "churn", "--data", "nosuch.csv"], "nosuch.csv can't be used."),
        (["iris", "--model", "iris", "--data", "nosuch.csv"], "nosuch.csv can't be used."),
    ],
)
def test_a_run_that_can_not_be_is_refused_at_once(arguments, what, project, nothing_starts, capsys):
    assert app.main(["pipeline", "run", *arguments]) == 2
    assert what in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "It is empty."),
        ("a\n1\n".encode("utf-16"), "It is text in UTF-16"),
        (b"a,a\n1,1\n", "Columns 1 and 2 are both named 'a'."),
        (b"PK\x03\x04", "Excel"),
    ],
)
def test_rows_that_are_no_table_are_refused(content, what, tmp_path, project, nothing_starts, capsys):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    assert app.main(["model", "predict", "churn", "--data", str(path)]) == 2
    shown = capsys.readouterr().err
    assert what in shown
    assert str(path) in shown
