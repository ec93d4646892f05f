"""A user's CSV is refused by file and reason before anything starts."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import data
from storage.errors import UsageError

GOOD = "a,b,target\n1,2.5,yes\n-3,.5e3,no\n4,5,yes\n6,7,no\n"


def write(folder: Path, text: str | bytes, name: str = "my data.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_good_file_is_described(tmp_path):
    path = write(tmp_path, GOOD)
    prepared = data.prepare(path)
    assert (prepared.name, prepared.rows) == ("my-data", 4)
    assert (prepared.features, prepared.classes) == (("a", "b"), ("no", "yes"))
    assert prepared.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("text", ["\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD + "\n", GOOD.rstrip()])
def test_marks_line_ends_and_blank_lines_do_not_matter(tmp_path, text):
    assert data.prepare(write(tmp_path, text)).rows == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "It is empty"),
        ("\n\n", "no header"),
        ("a,b\n1,2\n", "No column is named 'target'; there are 'a', 'b'"),
        ("target\nx\n", "no feature column"),
        ("a,target\n", "a header and no rows"),
        ("a,a,target\n1,2,x\n", "Two columns are named 'a'"),
        ("a,target\n1,x\n2\n", "Line 3 has 1 cells, the header has 2"),
        ("a,target\n1,x,9\n", "Line 2 has 3 cells"),
        ("a,target\n1,x\n2,x\n", "one class only: 'x'"),
        ("a,target\n1,x\n2,x\n3,y\n", "Too few rows .* 'y'"),
        ("a,target\n1,x\n2,\n", "Line 3 has no target"),
        ("a,target\n1,x\n2,NaN\n", "Line 3 has no target"),
        ("a,b,target\nred,1,x\n2,2,x\n3,3,y\n4,4,y\n", "Not numeric: 'a' .*'red' in line 2"),
        ("a,target\n1_000,x\n2,x\n3,y\n4,y\n", "Not numeric: 'a'"),
        ("a,target\n1e999,x\n2,x\n3,y\n4,y\n", "Not numeric: 'a'"),
        ("a,target\n,x\n2,x\n3,y\n4,y\n", r"Missing or infinite values in 'a' \(first in line 2\)"),
        ("a,target\n1,x\ninf,x\n3,y\n4,y\n", r"Missing or infinite values in 'a' \(first in line 3\)"),
        (b"a,target\n\xff\xfe,x\n", "not UTF-8"),
        ('a,target\n"1,x\n', "unexpected end of data"),
        ("".join(f"c{i}," for i in range(9)) + "target\n" + "z," * 9 + "x\n" + "z," * 9 + "y\n", "Too few"),
    ],
)
def test_a_bad_file_is_refused_by_name_and_reason(tmp_path, text, reason):
    path = write(tmp_path, text)
    with pytest.raises(UsageError, match=reason) as refused:
        data.prepare(path)
    assert str(path) in refused.value.what
    assert refused.value.exit_code == 2


def test_what_is_not_there_or_not_a_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        data.prepare(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="not a file"):
        data.prepare(tmp_path)


def test_a_file_over_the_limit_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "MAX_BYTES", 10)
    with pytest.raises(UsageError, match="the limit is"):
        data.prepare(write(tmp_path, GOOD))


def test_only_some_of_many_bad_columns_are_named(tmp_path):
    header = ",".join(f"c{i}" for i in range(9))
    rows = "".join(f"{'z,' * 9}{c}\n" for c in "xxyy")
    with pytest.raises(UsageError, match="'c4' and 4 more"):
        data.prepare(write(tmp_path, f"{header},target\n{rows}"))


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_taken_or_refused_in_words(tmp_path, content):
    try:
        data.prepare(write(tmp_path, content))
    except UsageError as refused:
        assert refused.why


def test_wisconsin_is_the_real_data_set(tmp_path):
    prepared = data.wisconsin(tmp_path / "new")
    assert (prepared.rows, len(prepared.features)) == (569, 30)
    assert prepared.classes == ("benign", "malignant")
