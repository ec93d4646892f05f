"""Rows to predict: columns are matched by name; errors have file, line and column."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tabular.rows import RowFile
from tabular.schema import Feature, ReadOptions, RowCounts, Split, TableSchema
from tabular.table_error import TableError

SCHEMA = TableSchema(
    features=(
        Feature(name="x1", kind="number"),
        Feature(name="colour", kind="category", categories=("01", "red")),
        Feature(name="x2", kind="number"),
    ),
    classes=("a", "b"),
    data_sha256="0" * 64,
    read=ReadOptions(drop=("id",)),
    split=Split(),
    rows=RowCounts(train=8, held_out=2),
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def _write(content: str | bytes) -> Path:
        path = tmp_path / "rows.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return _write


def read(path: Path) -> list[dict[str, object]]:
    return [row for batch in RowFile(path, SCHEMA).batches() for row in batch.to_pylist()]


EXPECTED = [{"x1": 1.0, "colour": "01", "x2": 2.5}, {"x1": 3.0, "colour": "red", "x2": 4.0}]


@pytest.mark.parametrize(
    "content",
    [
        "x1,colour,x2\n1,01,2.5\n3,red,4\n",
        "x2,x1,colour\n2.5,1,01\n4,3,red\n",
        "\ufeffx2;colour;x1\r\n2.5;01;1\r\n4;red;3\r\n",
        "x1\tx2\tcolour\ttarget\n1\t2.5\t01\ta\n3\t4\tred\t\n",
        "id,x1,colour,x2\n,1,01,2.5\n,3,red,4\n",
    ],
)
def test_columns_are_matched_by_name(write: Callable[[str], Path], content: str) -> None:
    assert read(write(content)) == EXPECTED


def test_columns_that_training_dropped_are_ignored(write: Callable[[str], Path]) -> None:
    assert RowFile(write("id,target,x1,colour,x2\n1,a,1,red,2\n"), SCHEMA).ignored == ("id", "target")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("x1,colour\n1,red\n", "The model needs the column 'x2'"),
        ("foo,bar,colour\n1,2,red\n", "The model needs the columns 'x1', 'x2'"),
        ("x1,colour,x2,x3\n1,red,2,3\n", "The model does not have the column 'x3'"),
        ("x1,colour,x2,\n1,red,2,3\n", "The model does not have the column ''"),
        ("x1,colour,X2,x2\n1,red,2,3\n", "The model does not have the column 'X2'"),
        ("x1,x1,colour,x2\n1,1,red,2\n", "both named 'x1'"),
        ("x1,colour,x2\n", "a header and no rows"),
        ("x1,colour,x2\n1,red,2\n1,red,nan\n", "Line 3, column 'x2': The value is missing."),
        ("x1,colour,x2\n1,red,2\n1,NA,2\n", "Line 3, column 'colour': The value is missing."),
        ("x1,colour,x2\n1,red,inf\n", "Line 2, column 'x2': 'inf' is not a finite number"),
        ("x1,colour,x2\n1,red,1e309\n", "Line 2, column 'x2': '1e309' is outside"),
        ("x1,colour,x2\n1,red,abc\n", "Line 2, column 'x2': 'abc' is not a number."),
        ('x1,colour,x2\n"1",red,2\n1,red,2,3\n', "Line 3 has 4 cells, the header has 3."),
        ("x1,colour,x2\n1,red,2\n".encode("utf-16"), "UTF-16"),
        ("x1,colour,x2\n1,röd,2\n".encode("latin-1"), "line 2 contains the byte 0xF6"),
    ],
)
def test_errors_name_line_and_column(
    write: Callable[[str | bytes], Path], content: str | bytes, reason: str
) -> None:
    path = write(content)
    with pytest.raises(TableError) as refused:
        read(path)
    assert reason in refused.value.why
    assert str(path) in refused.value.what


def test_unknown_categories_are_counted(write: Callable[[str], Path]) -> None:
    rows = RowFile(write("x1,colour,x2\n1,red,2\n1,Red,2\n1,1,2\n"), SCHEMA)
    assert rows.check() == 3
    assert rows.unknown == {"colour": 2}


def test_rows_can_be_a_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    columns = {"x2": [2.5, 4.0], "x1": [1, 3], "colour": ["01", "red"], "target": [None, None]}
    parquet.write_table(pa.table(columns), path)
    assert read(path) == EXPECTED
    parquet.write_table(pa.table(columns | {"x1": [1, None]}), path)
    with pytest.raises(TableError, match="Row 2, column 'x1': The value is missing"):
        read(path)
    parquet.write_table(pa.table(columns | {"x1": ["1", "3"]}), path)
    with pytest.raises(TableError, match="'x1' is text"):
        read(path)
