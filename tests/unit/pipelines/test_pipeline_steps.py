"""The steps, run in this process on real and on hostile data."""

import hashlib
import pickle
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from support.steps import Workbench

from pipelines.steps import evaluate, preprocess, propose, train
from slipway.core.errors import UsageError
from storage.registry.candidate import RunEvaluation
from storage.registry.run_records import MAX_RECORD_BYTES
from tabular.files import FILES, MODEL
from tabular.model import Model
from tabular.schema import TableSchema


def _write(folder: Path, text: str) -> tuple[Path, str]:
    path = folder / "data.csv"
    path.write_text(text)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def _bundled(folder: Path, load: object) -> tuple[Path, str]:
    bunch = load(as_frame=True)
    frame = bunch.data.assign(target=[str(bunch.target_names[index]) for index in bunch.target])
    return _write(folder, frame.to_csv(index=False))


def _coloured(rows: int = 200, classes: int = 2) -> str:
    lines = [f"{i},{'red' if i % 3 else 'blue'},{i % classes:02}" for i in range(rows)]
    return "\n".join(["size,colour,target", *lines, ""])


@pytest.fixture
def trained(tmp_path: Path) -> Workbench:
    bench = Workbench(tmp_path)
    bench.split(*_bundled(tmp_path, load_breast_cancer))
    bench.fit(n_estimators=5, max_depth=2)
    return bench


def test_the_whole_pipeline_on_wisconsin_data(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    schema = bench.split(*_bundled(tmp_path, load_breast_cancer))
    assert schema["classes"] == ["benign", "malignant"]
    assert schema["rows"] == {"held_out": 113, "train": 456}
    digest = bench.fit(n_estimators=20)
    accuracy, f1, passed = bench.judge(threshold=0.85)
    assert accuracy > 0.9
    assert f1 > 0.9
    assert passed is True
    candidate = bench.put_forward()
    assert candidate["model_digest"] == digest
    assert candidate["metrics"] == {"accuracy": accuracy, "f1_weighted": f1}
    assert candidate["schema_version"] == 2
    assert {path.name for path in Path(bench.made["model"].path).iterdir()} == FILES


def test_the_evaluation_has_baseline_and_differences(trained: Workbench) -> None:
    trained.judge()
    found = RunEvaluation.model_validate(trained.load("evaluation"))
    assert found.majority == "benign"
    assert found.baseline["accuracy"] == pytest.approx(max(map(sum, found.confusion)) / 113)
    assert found.differing_rows == 0
    assert found.few == {}


def test_rows_that_scikit_learn_answers_differently_are_counted(trained: Workbench) -> None:
    """The pickle is exchanged for one of another forest, with its own digest."""
    held_out = pq.read_table(trained.made["held_out"].path)
    other = Workbench(trained.root / "other")
    other.root.mkdir()
    other.made |= {name: trained.made[name] for name in ("train", "held_out", "schema")}
    other.fit(n_estimators=5, max_depth=3, seed=7)
    trained.made["fitted"], trained.fitted_sha256 = other.made["fitted"], other.fitted_sha256
    trained.judge()
    assert 0 < trained.load("evaluation")["differing_rows"] <= held_out.num_rows


def test_classes_with_few_held_out_rows_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = Workbench(tmp_path)
    bench.split(*_write(tmp_path, _coloured(60) + "".join(f"{i},red,rare\n" for i in range(900, 906))))
    bench.fit()
    bench.judge(threshold=0)
    assert bench.load("evaluation")["few"] == {"rare": 1}
    assert "warning: 1 held-out rows of class 'rare'" in capsys.readouterr().out


def test_the_same_inputs_give_the_same_model(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        bench = Workbench(tmp_path / name)
        bench.split(*_bundled(tmp_path / name, load_breast_cancer))
        digests.add((bench.fit(n_estimators=5), bench.fitted_sha256))
    assert len(digests) == 1


@pytest.mark.parametrize("algorithm", ["decision-tree", "logistic-regression"])
def test_iris_by_each_other_algorithm(algorithm: str, tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    schema = bench.split(*_bundled(tmp_path, load_iris))
    assert schema["classes"] == ["setosa", "versicolor", "virginica"]
    bench.fit(algorithm=algorithm, max_depth=4)
    accuracy, _, passed = bench.judge()
    assert accuracy >= 0.85
    assert passed is True


def test_labels_stay_text_from_end_to_end(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    schema = bench.split(*_write(tmp_path, _coloured(classes=3)))
    assert schema["classes"] == ["00", "01", "02"]
    bench.fit(algorithm="decision-tree")
    bench.judge(threshold=0)
    model = Model.load(Path(bench.made["model"].path))
    answers = model.predict(pq.read_table(bench.made["held_out"].path))
    assert set(answers.labels) <= {"00", "01", "02"}


def test_training_sees_no_held_out_row(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    bench.split(*_bundled(tmp_path, load_breast_cancer))
    sides = [
        set(map(str, pq.read_table(bench.made[name].path).to_pylist())) for name in ("train", "held_out")
    ]
    assert sides[0] and sides[1] and not sides[0] & sides[1]


def test_other_bytes_than_the_run_was_started_for_are_refused(tmp_path: Path) -> None:
    path, digest = _write(tmp_path, _coloured())
    assert Workbench(tmp_path).split(path, digest)["rows"]["held_out"] == 40
    path.write_text(_coloured(199))
    with pytest.raises(ValueError, match="the run was started for"):
        Workbench(tmp_path).split(path, digest)


def test_data_that_cannot_be_read_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="The data can't be used"):
        Workbench(tmp_path).split(*_write(tmp_path, _coloured() + "1,red\n"))


def test_a_model_below_the_threshold_cannot_be_proposed(trained: Workbench) -> None:
    accuracy, _, passed = trained.judge(threshold=1.0)
    assert accuracy < 1
    assert passed is False
    with pytest.raises(ValueError, match="not a pass"):
        trained.put_forward()


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_means_nothing_is_refused(trained: Workbench, threshold: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        trained.judge(threshold=threshold)


def test_a_swapped_model_is_not_loaded(trained: Workbench) -> None:
    (Path(trained.made["model"].path) / MODEL).write_bytes(b"")
    with pytest.raises(ValueError, match="training wrote"):
        trained.judge()


def test_a_file_beside_the_model_is_noticed(trained: Workbench) -> None:
    (Path(trained.made["model"].path) / "model-settings.json").write_text("{}")
    with pytest.raises(ValueError, match="training wrote"):
        trained.judge()


def test_a_swapped_pickle_is_not_loaded(trained: Workbench) -> None:
    class Marked:
        def __reduce__(self) -> tuple[object, ...]:
            return (pytest.fail, ("it was loaded",))

    Path(trained.made["fitted"].path).write_bytes(pickle.dumps(Marked()))
    with pytest.raises(ValueError, match="the pickle is not the one"):
        trained.judge()


def test_an_unknown_algorithm_is_refused(trained: Workbench) -> None:
    with pytest.raises(UsageError, match="Use one of random-forest"):
        trained.fit(algorithm="oracle")


def test_many_classes_leave_records_that_can_be_read(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    text = "".join(f"{i},{i % 256}\n" for i in range(256 * 10))
    bench.split(*_write(tmp_path, "size,target\n" + text))
    bench.fit(algorithm="decision-tree")
    bench.judge(threshold=0)
    bench.put_forward()
    for name in ("evaluation", "candidate"):
        assert (tmp_path / name).stat().st_size <= MAX_RECORD_BYTES


def test_every_step_travels_as_source() -> None:
    """A step's function is all that reaches its pod: what it needs it imports inside."""
    for module in (preprocess, train, evaluate, propose):
        assert not [name for name in vars(module) if name in {"Path", "np", "pd", "json"}]


def test_schema_of_the_model_extends_that_of_the_table(trained: Workbench) -> None:
    model = Model.load(Path(trained.made["model"].path)).schema
    table = TableSchema.model_validate(trained.load("schema"))
    assert model.model_dump(include=set(TableSchema.model_fields)) == table.model_dump()
    assert model.parameters["rows_fitted"] == 456
    assert {"scikit-learn", "skl2onnx", "onnx"} <= model.frameworks.keys()
