"""The check and the step agree on every file, and accepted cells equal those in the file.

The standard library's `csv` is the second opinion: it reads the same text in its own way.
"""

import csv
import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tabular.header import DELIMITERS
from tabular.model import Model
from tabular.numbers import is_number, parse
from tabular.reader import TrainingData, inspect, training_data
from tabular.rows import RowFile
from tabular.schema import MISSING, ReadOptions, Split
from tabular.split import held_out
from tabular.table_error import TableError
from tabular.training import Parameters, fit
from tabular.v2 import metadata

EXAMPLES = 5000 if os.environ.get("CI") else 200
NAMES = [
    "01",
    "1",
    "001",
    "none",
    "None",
    "True",
    "-0",
    "a b",
    "x,y",
    "x;y",
    'say "x"',
    "two\nlines",
    "\u2028\u00e9",
]
ODD = [
    "",
    " ",
    "nan",
    "inf",
    "1e309",
    "1e39",
    "1_0",
    "\uff11",
    "1,5",
    "#N/A",
    " 1",
    "x ",
    "\ufeff",
    "\x1e",
    "\x7f",
    '"',
]
CELLS = st.one_of(st.sampled_from([*NAMES, *ODD]), st.text("ab ,;\"'\t\n\r\u00a01", min_size=1, max_size=6))
SELDOM = st.sampled_from([*[False] * 9, True])
NUMBERS = st.one_of(
    st.integers(-99, 99).map(str),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr),
    st.from_regex(r"\A ?[+-]?[0-9]{1,12}\.[0-9]{0,9}(e[+-]?[0-9]{1,2})?\Z"),
)


def quoted(cell: str, delimiter: str, always: bool) -> str:
    plain = not any(mark in cell for mark in (delimiter, '"', "\n", "\r")) and not always
    return cell if plain else '"' + cell.replace('"', '""') + '"'


@st.composite
def tables(draw: st.DrawFn) -> str:
    """A mostly well-formed file: columns of numbers or of few texts, and a few invalid cells."""
    delimiter = draw(st.sampled_from(list(DELIMITERS)))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    always = draw(st.booleans())
    plain = draw(SELDOM.map(lambda seldom: not seldom))
    texts = st.sampled_from(NAMES) if plain else CELLS
    header = [*draw(st.lists(texts, min_size=1, max_size=3, unique_by=str.strip if plain else str)), "target"]
    count = draw(st.integers(20, 40)) if plain else draw(st.integers(0, 5))
    columns = [[f"{i}.{draw(st.integers(0, 9))}" for i in range(count)]]
    for _ in header[2:]:
        if draw(st.booleans()):
            columns.append(draw(st.lists(NUMBERS, min_size=count, max_size=count)))
        else:
            few = draw(st.lists(texts, min_size=1, max_size=4))
            columns.append([few[i * i % len(few)] for i in range(count)])
    labels = draw(st.lists(texts, min_size=2 if plain else 1, max_size=3, unique=True))
    columns.append([labels[i % len(labels)] for i in range(count)])
    rows = [list(row) for row in zip(*columns, strict=True)]
    if rows and draw(SELDOM):
        draw(st.sampled_from(rows))[draw(st.integers(0, len(header) - 1))] = draw(CELLS)
    lines = [delimiter.join(quoted(cell, delimiter, always) for cell in row) for row in (header, *rows)]
    text = (
        draw(st.sampled_from(["", "\ufeff"])) + end.join(lines) + draw(st.sampled_from(["", end, end + end]))
    )
    if draw(SELDOM):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.sampled_from(['"', ",", "\n", "\r", "\0", " "])) + text[place:]
    return text


LOOSE = st.text('ab01,;\t"\n\r .-e\u2028\u00e9', max_size=80).map(lambda text: "a,target\n" + text)
CONTENTS = st.one_of(*[tables()] * 5, LOOSE).map(lambda text: text.encode("utf-8"))


def assert_verbatim(text: str, data: TrainingData) -> None:
    """Compare a table with what the standard library reads in the text."""
    delimiter = data.summary.delimiter
    assert delimiter is not None
    records = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter)
    header, *rows = [each for each in records if len(each) > 1 or (each and each[0].strip(" \t"))]
    assert len(rows) == data.table.num_rows
    names = [name.strip() for name in header]
    assert sorted(data.table.column_names) == sorted(names)
    for place, name in enumerate(names):
        cells = [row[place] for row in rows]
        column = data.table[name].to_pylist()
        if name == "target" or not all(is_number(cell) for cell in cells):
            assert column == cells
        else:
            np.testing.assert_array_equal(np.float32(column), np.float32([float(cell) for cell in cells]))
    assert set(data.schema.classes) == set(data.table["target"].to_pylist())


@pytest.mark.timeout(3000)
@given(
    content=CONTENTS, test_split=st.sampled_from([0.1, 0.2, 0.5]), words=st.sampled_from([MISSING, ("?",)])
)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
def test_check_and_step_agree_and_keep_every_cell(
    tmp_path: Path, content: bytes, test_split: float, words: tuple[str, ...]
) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    options, split = ReadOptions(missing=words), Split(test_split=test_split)
    try:
        data = training_data(path, options, split)
    except TableError as refused:
        event("refused")
        with pytest.raises(TableError) as checked:
            inspect(path, options, split)
        assert str(checked.value) == str(refused)
        assert refused.why
        return
    event("taken")
    assert inspect(path, options, split) == data.summary
    assert (held_out(data.table, split, "target") == data.held_out).all()
    assert 0 < data.held_out.sum() < data.table.num_rows
    assert_verbatim(content.decode(), data)


@given(text=st.one_of(NUMBERS, st.text("0123456789+-.eE _\tnaif,\uff11", max_size=8)))
@settings(max_examples=EXAMPLES)
def test_numbers_have_the_value_of_python_float(text: str) -> None:
    alone, beside = parse(pa.array([text])), parse(pa.array([" 1", text]))
    for numbers, place in ((alone, 0), (beside, 1)):
        if is_number(text):
            assert place not in numbers.odd
            assert numbers.exact[place] == float(text)
        else:
            assert place in numbers.odd


@pytest.mark.timeout(3000)
@given(text=tables())
@settings(max_examples=EXAMPLES // 20, suppress_health_check=list(HealthCheck))
def test_a_model_returns_labels_and_names_verbatim(tmp_path: Path, text: str) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode())
    try:
        data = training_data(path)
    except TableError:
        event("refused")
        return
    event("trained")
    train = data.table.filter(pa.array(~data.held_out))
    fit(train, data.schema, Parameters("decision-tree", max_depth=3)).write(tmp_path / "model")
    model = Model.load(tmp_path / "model")
    rows = pa.concat_tables(RowFile(path, model.schema).batches())
    assert rows == data.table.select([each.name for each in model.schema.features])
    described = metadata("m", model.schema)
    assert [each["name"] for each in described["inputs"]] == data.table.column_names[:-1]
    labels = set(data.table["target"].to_pylist())
    assert set(described["parameters"]["classes"]) == labels
    assert set(model.predict(rows).labels.tolist()) <= labels
