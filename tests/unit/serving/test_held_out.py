"""The rows that promotion evaluates on, and how a champion and a candidate are compared."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.models import with_categories
from support.promotions import table_text

from serving import held_out
from serving.champion import difference
from slipway.core.errors import FailedError
from tabular import reader
from tabular.schema import Feature, ModelSchema, ReadOptions, RowCounts, Split, TableSchema

OTHER = Split(test_split=0.5, seed=7)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "data.csv"
    made.write_bytes(table_text())
    return made


def model_schema(schema: TableSchema, **changes: object) -> ModelSchema:
    fields = schema.model_dump() | {"frameworks": {}, "parameters": {}} | changes
    return ModelSchema.model_validate(fields)


@given(sizes=st.lists(st.integers(1, 200), min_size=1, max_size=12), most=st.integers(1, 64))
def test_a_sample_holds_each_class_while_there_is_room(sizes: list[int], most: int) -> None:
    labels = np.repeat([f"class {index}" for index in range(len(sizes))], sizes).astype(object)
    chosen = held_out.drawn(labels, most)
    assert len(chosen) == len(set(chosen.tolist())) == min(most, len(labels))
    assert chosen.tolist() == sorted(chosen.tolist())
    assert len(set(labels[chosen])) == min(most, len(sizes))


def test_the_same_rows_are_held_out_as_by_the_runs_steps(path: Path) -> None:
    rows = held_out.read(path, "s3://data/x.csv", ReadOptions(), OTHER)
    steps = reader.training_data(path, ReadOptions(), OTHER)
    assert rows.schema == steps.schema
    numbers = np.flatnonzero(steps.held_out).astype("<i8").tobytes()
    assert rows.rows_sha256 == hashlib.sha256(numbers).hexdigest()
    assert rows.table.num_rows == rows.schema.rows.held_out == len(rows.labels)
    assert rows.rows_sha256 != held_out.read(path, "s3://data/x.csv", ReadOptions(), Split()).rows_sha256


def test_data_that_can_not_be_read_so_names_its_uri(path: Path) -> None:
    with pytest.raises(FailedError, match=r"s3://data/x\.csv can't be evaluated on"):
        held_out.read(path, "s3://data/x.csv", ReadOptions(target="nothing"), Split())


@pytest.mark.parametrize(
    "changes",
    [
        {"data_sha256": "0" * 64},
        {"classes": ("a", "b")},
        {"rows": RowCounts(train=1, held_out=1)},
        {"features": (Feature(name="z", kind="number"),)},
    ],
)
def test_a_schema_that_does_not_describe_the_data_is_refused(path: Path, changes: dict[str, object]) -> None:
    schema = held_out.read(path, "s3://data/x.csv", ReadOptions(), Split()).schema
    held_out.require_described(schema, model_schema(schema))
    with pytest.raises(FailedError, match=next(iter(changes))):
        held_out.require_described(schema, model_schema(schema, **changes))


def test_rows_that_another_model_was_trained_on_are_found(path: Path) -> None:
    rows = held_out.read(path, "s3://data/x.csv", ReadOptions(), Split())
    same = held_out.not_trained_on(rows, path, model_schema(rows.schema))
    assert same.all()
    other = reader.training_data(path, ReadOptions(), OTHER)
    unseen = held_out.not_trained_on(rows, path, model_schema(other.schema))
    mine = reader.training_data(path, ReadOptions(), Split()).held_out
    assert int(unseen.sum()) == int((mine & other.held_out).sum())
    assert 0 < unseen.sum() < len(unseen)


def test_models_of_the_same_questions_differ_in_nothing() -> None:
    schema = with_categories().schema
    assert difference(schema, schema) == ""
    fewer = [each.model_copy(update={"categories": each.categories[:1]}) for each in schema.features[2:]]
    narrower = schema.model_copy(update={"features": (*schema.features[:2], *fewer)})
    assert difference(schema, narrower) == "", "which categories it knows is the model's own matter"
    backwards = schema.model_copy(update={"features": schema.features[::-1]})
    assert "Its features are code (category)" in difference(schema, backwards)
    other = schema.model_copy(update={"classes": ("x", "y")})
    assert difference(schema, other) == "Its classes are x, y; the champion's are high, low, none."
