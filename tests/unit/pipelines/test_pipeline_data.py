"""A user's file and the data sets of scikit-learn, as they go into the store."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from pipelines import data
from slipway.core.errors import UsageError

ROWS = "".join(f"{i},{i * i % 7}.5,{('no', 'yes')[i % 2]}\n" for i in range(20))
GOOD = f"a,b,target\n{ROWS}"


def write(folder: Path, text: str | bytes, name: str = "my data.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_good_file_is_described(tmp_path):
    path = write(tmp_path, GOOD)
    prepared = data.prepare(path)
    summary = prepared.summary
    assert (prepared.object_name, summary.rows) == ("my-data.csv", 20)
    assert [each.name for each in summary.columns] == ["a", "b"]
    assert [(each.label, each.rows) for each in summary.classes] == [("no", 10), ("yes", 10)]
    assert summary.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert summary.size == path.stat().st_size


@pytest.mark.parametrize("text", ["\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD + "\n", GOOD.rstrip()])
def test_marks_line_ends_and_blank_lines_do_not_matter(tmp_path, text):
    assert data.prepare(write(tmp_path, text)).summary.rows == 20


@pytest.mark.parametrize(
    ("name", "object_name"),
    [
        ("colon:x.csv", "colon-x.csv"),
        ("a.b c.txt", "a.b-c.csv"),
        ("...csv", "data.csv"),
        ("\u00fc.csv", "data.csv"),
        ("x" * 200 + ".csv", "x" * 80 + ".csv"),
    ],
)
def test_any_name_of_a_file_becomes_a_plain_one(tmp_path, name, object_name):
    assert data.prepare(write(tmp_path, GOOD, name)).object_name == object_name


def test_a_parquet_file_is_one_whatever_it_is_called(tmp_path):
    path = tmp_path / "rows.csv"
    columns = {"a": list(range(20)), "target": ["x", "y"] * 10}
    parquet.write_table(pa.table(columns), path)
    assert data.prepare(path).object_name == "rows.parquet"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_taken_or_refused_in_words(tmp_path, content):
    try:
        data.prepare(write(tmp_path, content))
    except UsageError as refused:
        assert refused.why


@pytest.mark.parametrize(
    ("name", "rows", "features", "classes"),
    [
        ("wisconsin", 569, 30, ["benign", "malignant"]),
        ("iris", 150, 4, ["setosa", "versicolor", "virginica"]),
    ],
)
def test_a_sample_is_the_real_data_set(tmp_path, name, rows, features, classes):
    summary = data.sample(name, tmp_path / "new").summary
    assert (summary.rows, len(summary.columns)) == (rows, features)
    assert [each.label for each in summary.classes] == classes
    assert summary.warnings == ()
    assert data.sample(name, tmp_path / "again").summary.sha256 == summary.sha256
