"""The steps, run in this process on real and on hostile data."""

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kfp import dsl
from sklearn.datasets import load_breast_cancer
from support.steps import Workbench

from pipelines.steps.load_iris import load_iris
from storage.runs import MAX_RECORD_BYTES


def write(folder: Path, text: str) -> tuple[Path, str]:
    path = folder / "data.csv"
    path.write_text(text)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def write_frame(folder: Path, frame: pd.DataFrame) -> tuple[Path, str]:
    return write(folder, frame.to_csv(index=False))


def cancer() -> pd.DataFrame:
    bunch = load_breast_cancer(as_frame=True)
    return bunch.data.assign(target=[str(bunch.target_names[i]) for i in bunch.target])


def rows(bench: Workbench, name: str) -> set[tuple[float, ...]]:
    frame = pd.read_csv(bench.made[name].path)
    return set(map(tuple, frame.drop(columns="target").to_numpy().tolist()))


def test_the_whole_pipeline_on_wisconsin_data(tmp_path):
    bench = Workbench(tmp_path)
    schema = bench.split(*write_frame(tmp_path, cancer()))
    assert schema["classes"] == ["benign", "malignant"]
    assert schema["rows"] == {"held_out": 114, "train": 455}
    digest = bench.fit(n_estimators=20)
    accuracy, f1, passed = bench.judge(digest, threshold=0.85)
    assert accuracy > 0.9
    assert f1 > 0.9
    assert passed is True
    candidate = bench.put_forward(digest)
    assert candidate["model_digest"] == digest
    assert candidate["metrics"] == {"accuracy": accuracy, "f1_weighted": f1}
    assert len(candidate["samples"]) == 64
    assert {p.name for p in Path(bench.made["model"].path).iterdir()} == {"model.pkl", "schema.json"}
    loaded = joblib.load(Path(bench.made["model"].path) / "model.pkl")
    sample = candidate["samples"]
    assert loaded.predict([s["features"] for s in sample]).tolist() == [s["prediction"] for s in sample]


def test_the_same_inputs_give_the_same_model(tmp_path):
    digests = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        bench = Workbench(tmp_path / name)
        bench.split(*write_frame(tmp_path / name, cancer()))
        digests.add(bench.fit(n_estimators=5))
    assert len(digests) == 1


def test_the_scaler_was_fitted_on_training_rows_only(tmp_path):
    bench = Workbench(tmp_path)
    bench.split(*write_frame(tmp_path, cancer()))
    bench.fit(n_estimators=2)
    fitted = joblib.load(Path(bench.made["model"].path) / "model.pkl")
    training = pd.read_csv(bench.made["train"].path)
    np.testing.assert_allclose(
        fitted.named_steps["scale"].mean_, training.drop(columns="target").mean().to_numpy()
    )


def test_iris_by_a_tree(tmp_path):
    data = dsl.Dataset(name="data", uri=str(tmp_path / "iris.csv"), metadata={})
    digest = load_iris.python_func(data=data)
    bench = Workbench(tmp_path)
    schema = bench.split(Path(data.path), digest)
    assert schema["classes"] == ["setosa", "versicolor", "virginica"]
    accuracy, _, passed = bench.judge(bench.fit(algorithm="decision-tree", max_depth=4))
    assert accuracy >= 0.85
    assert passed is True


@given(
    values=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 1)), min_size=12, max_size=80
    ),
    split=st.floats(0.1, 0.9),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_row_is_in_both_sets_even_if_it_occurs_often(tmp_path, values, split, seed):
    frame = pd.DataFrame(values, columns=["a", "b", "target"])
    bench = Workbench(tmp_path)
    path, digest = write_frame(tmp_path, frame)
    try:
        bench.split(path, digest, test_split=split, seed=seed)
    except ValueError as error:
        assert "too few" in str(error) or "one class" in str(error) or "room" in str(error)
        return
    training, held_out = rows(bench, "train"), rows(bench, "held_out")
    assert training
    assert held_out
    assert not training & held_out
    assert training | held_out == set(map(tuple, frame[["a", "b"]].to_numpy(dtype=float).tolist()))


TWENTY = "".join(f"{i},{i % 2}\n" for i in range(20))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a CSV file"),
        ("a,b\n1,2\n", "no column is named 'target'"),
        ("a,target\n", "header and no rows"),
        ("target\n1\n0\n", "no feature column"),
        ("a,target\n1,0\n2,0\n3,0\n", "one class only"),
        ("a,b,target\n" + "".join(f"{i},x{i},{i % 2}\n" for i in range(20)), r"not numeric: \['b'\]"),
        ("a,target\n,1\n" + TWENTY, r"missing or infinite values in \['a'\]"),
        ("a,target\ninf,1\n" + TWENTY, r"missing or infinite values in \['a'\]"),
        ("a,target\n99,\n" + TWENTY, "1 rows have no target"),
        ("a,target\n99,7\n" + TWENTY, r"too few distinct rows .* \['7'\]"),
        ("a,target\n" + "5,7\n5,7\n5,7\n" + TWENTY, "too few distinct rows"),
        ("a,target\n1,0\n2,1\n3,0\n4,1\n", "without room for 2 classes"),
    ],
)
def test_data_that_cannot_be_split_is_refused_by_reason(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        Workbench(tmp_path).split(*write(tmp_path, text))


def test_other_bytes_than_the_run_was_started_for_are_refused(tmp_path):
    path, digest = write(tmp_path, "a,target\n" + TWENTY)
    assert Workbench(tmp_path).split(path, digest)["rows"]["held_out"] == 4
    path.write_text("a,target\n5,0\n" + TWENTY)
    with pytest.raises(ValueError, match="the run was started for"):
        Workbench(tmp_path).split(path, digest)


@pytest.fixture
def trained(tmp_path):
    bench = Workbench(tmp_path)
    bench.split(*write_frame(tmp_path, cancer()))
    return bench, bench.fit(n_estimators=5, max_depth=2)


def test_a_model_below_the_threshold_does_not_pass_and_cannot_be_proposed(trained):
    bench, digest = trained
    accuracy, _, passed = bench.judge(digest, threshold=1.0)
    assert accuracy < 1
    assert passed is False
    with pytest.raises(ValueError, match="not a pass"):
        bench.put_forward(digest)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_means_nothing_is_refused(trained, threshold):
    bench, digest = trained
    with pytest.raises(ValueError, match="between 0 and 1"):
        bench.judge(digest, threshold=threshold)


def test_a_swapped_model_is_not_loaded(trained):
    bench, digest = trained
    (Path(bench.made["model"].path) / "model.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match="training wrote"):
        bench.judge(digest)


def test_a_model_that_names_other_code_is_not_loaded(trained):
    bench, _ = trained
    folder = Path(bench.made["model"].path)
    (folder / "model.pkl").write_bytes(b"\x80\x02cos\ngetcwd\n)R.")
    files = [
        {"path": p.name, "sha256": hashlib.sha256(p.read_bytes()).hexdigest(), "size": p.stat().st_size}
        for p in sorted(folder.iterdir())
    ]
    canonical = json.dumps(files, sort_keys=True, separators=(",", ":"))
    with pytest.raises(ValueError, match="allow-list"):
        bench.judge(hashlib.sha256(canonical.encode()).hexdigest())


def judged(folder: Path, labels: list[int], features: int = 1, **options: int) -> list[dict[str, Any]]:
    """Evaluate on rows with these labels, numbered in their first feature; the samples that were kept."""
    random = np.random.default_rng(0)
    names = [f"feature_{i}" for i in range(features)]
    x = random.normal(size=(len(labels), features))
    x[:, 0] = np.arange(len(labels))
    bench = Workbench(folder)
    classes = [str(value) for value in range(max(labels) + 1)]
    schema = {"features": names, "classes": classes, "data_sha256": "0" * 64}
    Path(bench.artifact("schema").path).write_text(json.dumps(schema))
    frame = pd.DataFrame(x, columns=names).assign(target=labels)
    for name in ("train", "held_out"):
        frame.to_csv(bench.artifact(name, dsl.Dataset).path, index=False)
    digest = bench.fit(n_estimators=1, max_depth=1)
    bench.judge(digest, threshold=0, **options)
    bench.put_forward(digest)
    return list(bench.load("candidate")["samples"])


def spread(samples: list[dict[str, Any]]) -> dict[int, list[int]]:
    """Class -> numbers of its rows among the samples."""
    found: dict[int, list[int]] = {}
    for sample in samples:
        found.setdefault(sample["label"], []).append(int(sample["features"][0]))
    return found


def test_samples_come_from_all_classes_and_all_over_their_rows(tmp_path):
    labels = [0] * 900 + [1] * 97 + [2] * 3
    rows = spread(judged(tmp_path, labels))
    assert {label: len(found) for label, found in rows.items()} == {0: 57, 1: 6, 2: 1}
    assert min(rows[0]) < 20
    assert max(rows[0]) > 880
    assert max(np.diff(rows[0])) <= 2 * min(np.diff(rows[0]))
    assert rows == spread(judged(tmp_path, labels))


@pytest.mark.parametrize(
    ("labels", "limit", "kept"),
    [([0, 1] * 6, 64, 12), ([0, 1] * 40, 64, 64), ([0, 1, 1, 1, 1], 2, 2), (list(range(70)) * 2, 64, 64)],
)
def test_as_many_samples_are_kept_as_asked_for_or_as_there_are(tmp_path, labels, limit, kept):
    rows = [row for found in spread(judged(tmp_path, labels, samples=limit)).values() for row in found]
    assert len(rows) == len(set(rows)) == kept


@pytest.mark.parametrize("features", [600, 3000])
def test_wide_rows_leave_records_that_can_be_read(tmp_path, features):
    samples = judged(tmp_path, [0, 1] * 40, features=features)
    assert 2 <= len(samples) < 64
    assert (tmp_path / "evaluation").stat().st_size <= MAX_RECORD_BYTES
    assert (tmp_path / "candidate").stat().st_size <= MAX_RECORD_BYTES


def test_an_unknown_algorithm_is_refused(trained):
    bench, _ = trained
    with pytest.raises(ValueError, match="random-forest"):
        bench.fit(algorithm="oracle")
