"""The split is repeatable and stratified, and equal rows stay together."""

import numpy as np
import pyarrow as pa
import pytest

from tabular.schema import ReadOptions, Split
from tabular.split import MissingClassError, fitted_schema, held_out


def table(rows: int = 2000, seed: int = 1) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "x": rng.integers(0, 40, rows).astype(np.float32),
            "kind": rng.choice(["u", "v", "w"], rows),
            "target": rng.choice(["a", "b", "c"], rows, p=[0.7, 0.25, 0.05]),
        }
    )


def test_rows_with_equal_features_stay_together() -> None:
    data = table()
    out = held_out(data, Split(), "target")
    sides: dict[tuple[float, str], set[bool]] = {}
    for x, kind, side in zip(data["x"].to_pylist(), data["kind"].to_pylist(), out.tolist(), strict=True):
        sides.setdefault((x, kind), set()).add(side)
    assert {len(each) for each in sides.values()} == {1}


def test_minus_zero_is_zero() -> None:
    data = pa.table(
        {
            "x": pa.array([0.0, -0.0, 1.0, 2.0, 3.0, 4.0] * 10, pa.float32()),
            "target": ["a", "a", "a", "b", "b", "b"] * 10,
        }
    )
    for seed in range(20):
        out = held_out(data, Split(test_split=0.5, seed=seed), "target")
        assert out[0] == out[1]


def test_the_split_is_stratified() -> None:
    data = pa.table(
        {
            "x": np.arange(5000, dtype=np.float32),
            "target": np.where(np.arange(5000) % 50 == 0, "rare", "often"),
        }
    )
    out = held_out(data, Split(test_split=0.2), "target")
    rare = data["target"].to_numpy() == "rare"
    assert int(out[rare].sum()) == 20
    assert int(out[~rare].sum()) == 980


def test_the_same_seed_gives_the_same_rows_in_any_order() -> None:
    data = table()
    order = np.random.default_rng(5).permutation(data.num_rows)
    out = held_out(data, Split(seed=9), "target")
    assert (held_out(data, Split(seed=9), "target") == out).all()
    assert (held_out(data.take(order), Split(seed=9), "target") == out[order]).all()
    assert (held_out(data, Split(seed=10), "target") != out).any()


def test_a_class_without_a_second_row_is_refused() -> None:
    data = pa.table({"x": pa.array([1, 2, 3], pa.float32()), "target": ["a", "a", "b"]})
    with pytest.raises(MissingClassError, match=r"\[1\]"):
        held_out(data, Split(), "target")


def test_categories_are_those_of_training_rows() -> None:
    data = pa.table(
        {
            "kind": ["u"] * 5 + ["v"] * 5,
            "x": pa.array(range(10), pa.float32()),
            "target": ["b", "a"] * 5,
        }
    )
    out = np.arange(10) >= 5
    schema = fitted_schema(data, out, read=ReadOptions(), split=Split(), data_sha256="0" * 64)
    assert schema.features[0].categories == ("u",)
    assert schema.categorical == ("kind",)
    assert schema.numbers == ("x",)
    assert schema.classes == ("a", "b")
    assert (schema.rows.train, schema.rows.held_out) == (5, 5)
