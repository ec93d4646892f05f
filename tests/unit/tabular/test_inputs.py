"""Model inputs by name; errors contain the name of the column."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from support.models import with_categories

from tabular import inputs
from tabular.schema import CATEGORIES, NUMBERS

SCHEMA = with_categories(60).schema
ROW = {"n0": 0.5, "n1": 1, "colour": "red", "code": "01"}


def feeds_of(*rows: dict[str, Any]) -> inputs.Feeds:
    columns = {name: np.empty(len(rows), dtype=object) for name in reversed(ROW)}
    for name, cells in columns.items():
        cells[:] = [row[name] for row in rows]
    return inputs.from_columns(SCHEMA, columns)


def test_columns_become_inputs_in_the_order_of_the_schema() -> None:
    feeds = feeds_of(ROW, ROW | {"n0": -1.5})
    assert feeds[NUMBERS].tolist() == [[0.5, 1.0], [-1.5, 1.0]]
    assert feeds[NUMBERS].dtype == np.float32
    assert feeds[CATEGORIES].tolist() == [["red", "01"], ["red", "01"]]


def test_order_of_table_columns_is_ignored() -> None:
    table = pa.table(
        {
            "code": pa.chunked_array([["01"], ["1", "01"]]),
            "target": ["a", "b", "c"],
            "n1": pa.array([1, 2, 3], pa.float32()),
            "colour": ["red", "new", "red"],
            "n0": pa.array([4, 5, 6], pa.float32()),
        }
    )
    feeds = inputs.from_table(SCHEMA, table)
    assert feeds[NUMBERS].tolist() == [[4, 1], [5, 2], [6, 3]]
    assert feeds[CATEGORIES].tolist() == [["red", "01"], ["new", "1"], ["red", "01"]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n0": None}, "Column 'n0' has no value in row 1. It must be a number"),
        ({"n0": "1"}, "Column 'n0' has '1' in row 1. It must be a number"),
        ({"n0": True}, "Column 'n0' has True"),
        ({"n0": float("nan")}, "Column 'n0' has nan in row 1. A number must be finite"),
        ({"n0": float("inf")}, "Column 'n0' has inf"),
        ({"n0": 1e39}, r"Column 'n0' has 1e\+39"),
        ({"n0": 10**400}, "Column 'n0' has a number that is too large"),
        ({"n0": [1]}, r"Column 'n0' has \[1\]"),
        ({"colour": 1}, "Column 'colour' has 1 in row 1. It must be text"),
        ({"colour": None}, "Column 'colour' has no value in row 1"),
    ],
)
def test_invalid_cells_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(inputs.InputError, match=words):
        feeds_of(ROW | change)


def test_table_without_a_feature_is_refused() -> None:
    with pytest.raises(inputs.InputError, match=r"The table has no column 'n0'\. It must be a number"):
        inputs.from_table(SCHEMA, pa.table({"n1": [1.0]}))


def test_table_with_missing_cells_is_refused() -> None:
    columns = {name: [cell, None] for name, cell in ROW.items()}
    with pytest.raises(inputs.InputError, match="Column 'n0' has 1 missing cells"):
        inputs.from_table(SCHEMA, pa.table(columns))


def test_table_with_text_for_numbers_is_refused() -> None:
    with pytest.raises(inputs.InputError, match=r"Column 'n0' has '0.5' in row 1\. It must be a number"):
        inputs.from_table(SCHEMA, pa.table({name: [str(cell)] for name, cell in ROW.items()}))


def test_largest_float32_is_accepted() -> None:
    assert feeds_of(ROW | {"n0": inputs.MAX_FLOAT32})[NUMBERS][0, 0] == inputs.MAX_FLOAT32
