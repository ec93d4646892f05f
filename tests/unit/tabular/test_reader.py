"""The tables that the reader accepts, and its error messages."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tabular.csv_file import BLOCK_BYTES
from tabular.reader import inspect, read, training_data
from tabular.schema import ReadOptions, Split
from tabular.split import held_out
from tabular.table_error import TableError


def table(header: str, row: Callable[[int], str], rows: int = 90) -> str:
    return header + "\n" + "".join(row(i) + "\n" for i in range(rows))


def xy(i: int) -> str:
    return f"{i * 7 % 13},{i * i % 31}.5"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def _write(content: str | bytes) -> Path:
        path = tmp_path / "data.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return _write


def refusal(path: Path, options: ReadOptions | None = None, split: Split | None = None) -> TableError:
    """The error of the check, which must equal that of the step."""
    with pytest.raises(TableError) as checked:
        inspect(path, options, split)
    with pytest.raises(TableError) as read_too:
        training_data(path, options, split)
    assert str(checked.value) == str(read_too.value)
    return checked.value


@pytest.mark.parametrize(
    "labels",
    [
        ("01", "1", "2"),
        ("001", "002", "1"),
        ("none", "None", "severe"),
        ("a\u2028b", "a b", "c"),
        ("yes\nno", 'a "quoted" one', "x,y"),
        (" <=50K", " >50K", "x"),
        ("True", "true", "1.0"),
    ],
)
def test_labels_are_read_verbatim(write: Callable[[str], Path], labels: tuple[str, ...]) -> None:
    quoted = ['"' + label.replace('"', '""') + '"' for label in labels]
    path = write(table("x,y,target", lambda i: f"{xy(i)},{quoted[i % 3]}"))
    data = training_data(path)
    assert data.table["target"].to_pylist() == [labels[i % 3] for i in range(90)]
    assert data.schema.classes == tuple(sorted(labels))


def test_classes_of_a_late_chunk_are_text(write: Callable[[str], Path]) -> None:
    labels = ("0", "1", "unknown")
    path = write(table("x,target", lambda i: f"{i}.{'0' * 80},{labels[i // 30_000]}", 90_000))
    assert path.stat().st_size > BLOCK_BYTES
    assert [each.label for each in inspect(path).classes] == ["0", "1", "unknown"]


def test_a_text_feature_is_text_from_its_first_row(write: Callable[[str], Path]) -> None:
    cells = ("0", "1", "b")
    path = write(table("x,y,target", lambda i: f"{i}.{'0' * 80},{cells[i // 30_000]},{i % 2}", 90_000))
    data = training_data(path)
    assert data.table["y"].type == pa.string()
    assert data.table["y"][0].as_py() == "0"


def test_read_options_name_target_and_dropped_columns(write: Callable[[str], Path]) -> None:
    path = write(table(",x,y,kind", lambda i: f"{i},{xy(i)},{'ab'[i % 2]}"))
    assert read(path, ReadOptions(target="kind", drop=("",))).column_names == ["x", "y", "kind"]


@pytest.mark.parametrize(("delimiter", "text"), [(";", "x;y,z;target"), ("\t", "x\ty;z\ttarget")])
def test_the_header_determines_the_delimiter(write: Callable[[str], Path], delimiter: str, text: str) -> None:
    path = write(table("\ufeff" + text, lambda i: delimiter.join((*xy(i).split(","), "ab"[i % 2]))))
    summary = inspect(path)
    assert summary.delimiter == delimiter
    assert len(summary.columns) == 2


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("nan", "The value is missing."),
        (" NA ", "The value is missing."),
        ("", "The value is missing."),
        ("inf", "'inf' is not a finite number"),
        ("1e309", "'1e309' is outside the range of float32."),
        ("1e39", "'1e39' is outside the range of float32."),
        ("\uff11\uff12", "'\uff11\uff12' is not written in the digits 0 to 9."),
        ("1_000", "'1_000' is not a finite number in plain decimal notation."),
        ('"1,5"', "'1,5' has a comma"),
        ('"1,234,567"', "'1,234,567' has a comma"),
    ],
)
def test_a_cell_that_is_not_a_number_is_refused(write: Callable[[str], Path], cell: str, reason: str) -> None:
    path = write(
        table('"x\ny",z,target', lambda i: f"{cell if i == 4 else i % 7},{i * i % 31},{'ab'[i % 2]}")
    )
    why = refusal(path).why
    assert why.startswith("Line 7, column 'x\\ny': ")
    assert reason in why


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "It is empty."),
        ("x,target\n1,a\n".encode("utf-16"), "UTF-16"),
        ("x,target\n1,a\n".encode("utf-16-le"), "UTF-16"),
        ("x,target\n1,a\n".encode("utf-32"), "UTF-32"),
        ("x,target\n1,a\n2,é\n".encode("latin-1"), "line 3 contains the byte 0xE9"),
        (b"PK\x03\x04...", "Excel"),
        (b"\x1f\x8b...", "gzip"),
        (b"PAR1 and no more", "damaged Parquet"),
        (b"x,target\n1,a\0b\n", "null bytes"),
        ("x,target\n", "a header and no rows"),
        ("x,target\n1,a\n2\n", "Line 3 has 1 cells, the header has 2."),
        ('x,target\n\n"1\n2",a\n2,a,b\n', "Line 5 has 3 cells, the header has 2."),
        ('x,target\n1,a\n2,"b\n3,a\n', "A quote in the row that begins at line 3 is not closed."),
        ('x,target\n1,a\n"2,b\n3,a\n', "Line 3 has 1 cells"),
        ("x,y\n1,2\n", "There is no column 'target'"),
        ("target\na\n", "no feature column"),
        ("x, x,target\n1,2,a\n", "Columns 1 and 2 are both named 'x'."),
        (",x,target\n0,2,a\n", "Column 1 has no name"),
        ("x,target\n1,a\n2,a\n", "only one class: 'a'"),
        ("x,target\n1,a\n2,b\n3,a\n4,a \n5,b\n", "differ only in surrounding spaces"),
        ("x,target\n1,#N/A\n", "Line 2, column 'target': The value is missing."),
        ("x,target\n1,a\n2,b\n3,a\n4,b\n", "A test split of 0.2 of 4 distinct rows"),
        ("x,target\n0,a\n" + "".join(f"{i},b\n" for i in range(1, 90)), "in the classes 'a'"),
        ("x,target\n-0,a\n0.0,a\n" + "".join(f"{i},b\n" for i in range(1, 90)), "in the classes 'a'"),
    ],
)
def test_invalid_tables_are_refused(
    write: Callable[[str | bytes], Path], content: str | bytes, reason: str
) -> None:
    assert reason in refusal(write(content)).why


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (lambda i: f"{xy(i)},c{i // 2}", "more than 256 classes"),
        (lambda i: f"{xy(i)},{i // 2}", "this is a regression"),
        (lambda i: f"{xy(i)},{i % 40 / 10}", "this is a regression"),
        (lambda i: f"{i % 7},id-{i},{'ab'[i % 2]}", "more than 256 distinct values"),
        (
            lambda i: f"{i % 7},{i if i != 3 else '?'},{'ab'[i % 2]}",
            "numbers and text; the first text is in line 5",
        ),
    ],
)
def test_untrainable_tables_are_refused(
    write: Callable[[str], Path], row: Callable[[int], str], reason: str
) -> None:
    assert reason in refusal(write(table("x,y,target", row, 2000))).why


def test_missing_values_can_be_set(write: Callable[[str], Path]) -> None:
    path = write(table("x,y,target", lambda i: f"{xy(i)},{('NA', 'null', 'x')[i % 3]}"))
    assert "missing" in refusal(path).why
    data = training_data(path, ReadOptions(missing=("?",)))
    assert data.schema.classes == ("NA", "null", "x")
    options = ReadOptions(missing=("-999",))
    path = write(table("x,y,target", lambda i: f"{-999.0 if i == 7 else i % 31},{i % 7},{'ab'[i % 2]}"))
    assert refusal(path, options).why.startswith("Line 9, column 'x': The value is missing.")


@pytest.mark.parametrize(
    ("row", "warning"),
    [
        (lambda i: f"{i},{i % 7},{i // 45}", "'x' alone predicts the target perfectly"),
        (lambda i: f"{i},{i % 7},{i // 45}", "'x' rises from each row"),
        (lambda i: f"{(i * 37) % 90},{i % 7},{i % 2}", "'x' has a different whole number in every row"),
        (lambda i: f"{5 - i % 2},{i % 7},{i % 2}", "'x' alone predicts"),
        (lambda i: f"{'uvw'[i % 3]},{i % 7},{i % 3 % 2}", "'x' alone predicts"),
        (lambda i: f"3,{i * i % 31},{i % 2}", "'x' has only one value"),
        (lambda i: f"{16777217 + i % 7},{i * i % 31},{i % 2}", "float32 rounds"),
        (
            lambda i: f"{i % 7 if i else '?'},{i % 11},{i % 2}",
            "'x' is read as text: 89 of 90 cells are numbers",
        ),
        (
            lambda i: f"{i % 11},{i % 7},{('1', '01')[i % 2]}",
            "'01', '1' are the same number in different notations",
        ),
        (lambda i: f"{i % 11},{i % 7},{('a', 'A')[i % 2]}", "'A', 'a' differ only in case"),
        (
            lambda i: f"{i},{i % 7},{'b' if i % 11 == 0 else 'a'}",
            "Fewer than 5 rows are held out of the classes 'b'",
        ),
    ],
)
def test_suspicious_columns_are_warned_of(
    write: Callable[[str], Path], row: Callable[[int], str], warning: str
) -> None:
    data = training_data(write(table("x,y,target", row)))
    assert any(warning in each for each in data.summary.warnings), data.summary.warnings
    assert data.schema.warnings == data.summary.warnings


def test_ordinary_data_has_no_warnings(write: Callable[[str], Path]) -> None:
    assert inspect(write(table("x,y,target", lambda i: f"{xy(i)},{'ab'[i % 2]}"))).warnings == ()


def test_unique_values_are_not_reported_as_a_leak(write: Callable[[str], Path]) -> None:
    assert (
        inspect(write(table("x,y,target", lambda i: f"{i * 37 % 90}.5,{i % 7},{'ab'[i % 2]}"))).warnings == ()
    )


def test_parquet_columns_are_read_by_type(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    columns = {
        "x": [i * 7 % 13 for i in range(90)],
        "y": [i * i % 31 / 2 for i in range(90)],
        "code": [str(i % 3) for i in range(90)],
        "flag": [i % 2 == 0 for i in range(90)],
        "target": [i % 2 for i in range(90)],
    }
    parquet.write_table(pa.table(columns), path)
    data = training_data(path)
    assert [str(kind) for kind in data.table.schema.types] == ["float", "float", "string", "string", "string"]
    assert data.schema.classes == ("0", "1")
    assert inspect(path) == data.summary


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (pa.array([1.0, None, 2.0] * 30), "Row 2, column 'x': The value is missing."),
        (pa.array([1.0, float("nan"), 2.0] * 30), "Row 2, column 'x': The value is missing."),
        (pa.array([1.0, float("inf")] * 45), "Row 2, column 'x': 'inf' is not a finite number"),
        (pa.array(["a", None] * 45), "Row 2, column 'x': The value is missing."),
        (pa.array([0] * 90, pa.timestamp("ms")), "Column 'x' has the type timestamp[ms]"),
        (pa.array([[1]] * 90), "Column 'x' has the type list"),
    ],
)
def test_parquet_errors_name_the_row(tmp_path: Path, values: pa.Array, reason: str) -> None:
    path = tmp_path / "data.parquet"
    parquet.write_table(pa.table({"x": values, "target": ["a", "b"] * 45}), path)
    assert reason in refusal(path).why


def test_step_and_check_agree_on_the_split(write: Callable[[str], Path]) -> None:
    path = write(table("x,y,target", lambda i: f"{xy(i)},{'ab'[i % 2]}"))
    split = Split(test_split=0.3, seed=7)
    data = training_data(path, None, split)
    assert (held_out(data.table, split, "target") == data.held_out).all()
    assert data.summary.split_rows.held_out == int(data.held_out.sum())
