"""The golden IR: fresh, without installs, gated by a boolean that means what it says."""

import pytest
import yaml

from pipelines import compile as compiling
from pipelines.steps.step import IMAGE
from slipway.core.errors import UsageError


def ir(name: str, **options: str) -> dict:
    return yaml.safe_load(compiling.compiled(name, **options))


@pytest.mark.parametrize("name", sorted(compiling.PIPELINES))
def test_the_golden_ir_is_what_the_source_compiles_to(name):
    golden = compiling.GOLDEN / f"{name}.yaml"
    assert golden.read_text() == compiling.compiled(name), "run `python -m pipelines.compile`"


def test_check_names_a_stale_pipeline(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compiling, "GOLDEN", tmp_path)
    assert compiling.main(["--check"]) == 1
    assert "iris, training" in capsys.readouterr().err
    assert compiling.main([]) == 0
    assert compiling.main(["--check"]) == 0


@pytest.mark.parametrize("name", sorted(compiling.PIPELINES))
def test_every_step_runs_in_the_stack_image(name):
    executors = ir(name, image="registry.example/steps@sha256:1")["deploymentSpec"]["executors"]
    containers = [e["container"] for e in executors.values() if "container" in e]
    assert containers
    for container in containers:
        assert container["image"] == "registry.example/steps@sha256:1"
        assert "pip install" not in " ".join(container["command"])
    assert IMAGE not in compiling.compiled(name, image="x")


@pytest.mark.parametrize("name", sorted(compiling.PIPELINES))
def test_the_gate_compares_the_boolean_with_true(name):
    """KFP compiles `== 1` to `== false`; only `== True` says what it means."""
    gate = ir(name)["root"]["dag"]["tasks"]["condition-1"]
    assert gate["triggerPolicy"] == {
        "condition": "inputs.parameter_values['pipelinechannel--evaluate-passed'] == true"
    }
    assert list(ir(name)["components"]["comp-condition-1"]["dag"]["tasks"]) == ["propose"]


def test_training_takes_the_parameters_of_its_contract():
    parameters = ir("training")["root"]["inputDefinitions"]["parameters"]
    assert {k: v.get("defaultValue") for k, v in parameters.items()} == {
        "data_uri": None,
        "data_sha256": None,
        "model_name": None,
        "test_split": 0.2,
        "seed": 42,
        "read_options": "{}",
        "algorithm": "random-forest",
        "n_estimators": 100,
        "max_depth": 10,
        "deploy_threshold": 0.85,
        "pipeline_digest": "unknown",
        "git_commit": "unknown",
    }


def test_evaluation_alone_reads_the_held_out_rows():
    tasks = ir("training")["root"]["dag"]["tasks"]
    source = {
        task: tasks[task]["inputs"]["artifacts"][key]["taskOutputArtifact"]["outputArtifactKey"]
        for task, key in (("train", "data"), ("evaluate", "held_out"))
    }
    assert source == {"train": "train", "evaluate": "held_out"}


def test_an_unknown_pipeline_is_refused():
    with pytest.raises(UsageError, match="iris, training"):
        compiling.compiled("nope")
