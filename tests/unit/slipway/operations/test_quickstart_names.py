"""Built-in models never take a user's name."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from support.platform import outputs

from pipelines.data import prepare, sample
from slipway.core.report import silent
from slipway.operations import builtin_models, training
from slipway.operations.quickstart import QuickstartRun
from slipway.operations.training_job import Job, model_name

ROWS = "".join(f"{i},{'xy'[i % 2]}\n" for i in range(20))


@pytest.fixture
def world(monkeypatch, tmp_path):
    """A platform where jobs succeed at once; what serves is in a dictionary of names and data digests."""
    served: dict[str, str] = {}
    trained: list[Job] = []

    def train(outputs, job, checked, report):
        with_data = checked or sample(job.sample, tmp_path / "sample").summary
        trained.append(job)
        return with_data

    def promote(outputs, job, data, report):
        served[job.model] = data.sha256
        return training.TrainedModel(
            name=job.model, pipeline=job.pipeline, run_id="r", run_state="SUCCEEDED", data=data, decision="ok"
        )

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(training, "promote", promote)
    monkeypatch.setattr(builtin_models, "_data_of_champion", lambda outputs, job: served.get(job.model))

    def up(data: Path | None = None):
        trained.clear()
        name = "wisconsin" if data is None else model_name(data)
        own = Job(tenant="", pipeline="training", model=name, data=data)
        return QuickstartRun(
            stack="local", own=own, checked=own.check(), phases=lambda name: nullcontext(silent)
        ).run(outputs("http://store"))

    return up, served, trained


def write(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_text(f"a,target\n{ROWS}")
    return path


def test_data_named_as_a_built_in_model_is_served_alone(world, tmp_path):
    up, served, _ = world
    path = write(tmp_path, "iris.csv")
    summary = up(path)
    assert [model.name for model in summary.models] == ["iris"]
    assert summary.left_out == ("The built-in model iris is left out: your model has its name.",)
    assert served == {"iris": prepare(path).summary.sha256}


@pytest.mark.parametrize(("name", "model"), [("iris.csv", "iris"), ("wisconsin.csv", "wisconsin")])
def test_a_later_start_leaves_the_users_model_alone(world, tmp_path, name, model):
    up, served, _ = world
    own = prepare(write(tmp_path, name)).summary.sha256
    up(tmp_path / name)
    summary = up()
    assert served[model] == own
    assert model not in [each.name for each in summary.models]
    assert f"The built-in model {model} is left out: another model has its name." in summary.left_out


def test_the_built_in_models_are_trained_again_where_they_serve(world):
    up, _, _ = world
    for _ in range(2):
        summary = up()
        assert [model.name for model in summary.models] == ["wisconsin", "iris"]
        assert summary.left_out == ()


def test_the_users_model_replaces_a_built_in_one(world, tmp_path):
    up, served, trained = world
    path = write(tmp_path, "iris.csv")
    up()
    up(path)
    assert served["iris"] == prepare(path).summary.sha256
    assert [(job.model, job.replace) for job in trained] == [("iris", True)]


def test_the_users_model_does_not_replace_one_of_theirs_unasked(world, tmp_path):
    up, _, trained = world
    up(write(tmp_path, "churn.csv"))
    up(tmp_path / "churn.csv")
    assert [(job.model, job.replace) for job in trained] == [("churn", False), ("iris", False)]


@pytest.mark.parametrize(
    ("name", "model"),
    [("iris.csv", "iris"), ("Colon:x.csv", "colon-x"), ("2026.csv", "model-2026"), ("ü.csv", "model")],
)
def test_a_model_is_named_after_its_file(name, model):
    assert model_name(Path(name)) == model
