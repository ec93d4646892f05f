"""Upload: compiled pipelines are accepted, and unsupported ones are refused."""

import copy
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl
from support import kfp_cases as steps
from support.checkout import ROOT

from embedded.kfp import document, parsing
from embedded.kfp.unsupported import UnsupportedError

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@dsl.pipeline(name="small")
def small(value: int = 3) -> None:
    made = steps.number(value=value).set_cpu_limit("1").set_retry(2)
    with dsl.If(made.output > 1):
        steps.text(value="x")


def compiled(pipeline: Any, folder: Path) -> bytes:
    path = folder / "pipeline.yaml"
    compiler.Compiler().compile(pipeline, str(path))
    return path.read_bytes()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compiled(small, tmp_path_factory.mktemp("ir"))


def test_a_compiled_pipeline_is_accepted(good: bytes) -> None:
    pipeline = parsing.parse(document.from_bytes(good))
    assert pipeline.name == "small"
    assert {step.body.function for step in pipeline.steps()} == {"number", "text"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "pipelines" / "compiled").glob("*.yaml")), ids=lambda path: path.name
)
def test_the_platforms_own_pipelines_are_accepted(path: Path) -> None:
    parsing.parse(document.from_bytes(path.read_bytes()))


def bomb() -> bytes:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a: [1", "not valid YAML"),
        (b"a: 1\na: 2", "appears twice"),
        (bomb(), "aliases"),
        (b"[" * 100_000, "nested deeper"),
        (b"- 1\n" * 400_000, "nodes"),
        (b"just text", "mapping"),
        (b"a: 1\n---\nb: 1\n---\nc: 1", "one or two"),
        (b"PK\x03\x04zip", "zip"),
        (b"a: !!python/object/apply:os.system [id]", "not valid YAML"),
        (b"a: 99999999999999999999999999999999999999\x01", "not valid YAML"),
    ],
)
def test_other_files_are_refused_quickly(data: bytes, message: str) -> None:
    start = time.process_time()
    with pytest.raises(document.DocumentError, match=message):
        document.from_bytes(data)
    assert time.process_time() - start < 2.0


def test_a_file_that_is_too_large_is_refused() -> None:
    with pytest.raises(document.TooLargeError):
        document.from_bytes(b"x" * (document.MAX_BYTES + 1))


def changed(good: bytes, *path: Any, value: Any) -> document.Document:
    spec = copy.deepcopy(yaml.safe_load(good))
    place = spec
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document.from_api(spec)


NUMBER = ("deploymentSpec", "executors", "exec-number", "container")
TASK = ("root", "dag", "tasks", "number")
GATE = ("root", "dag", "tasks", "condition-1")
INNER = ("components", "comp-condition-1")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("schemaVersion",), "1.0", "schemaVersion '1.0'"),
        (("unknownKey",), 1, "unknownKey"),
        (("pipelineInfo", "name"), "../up", "invalid name '../up' for pipeline"),
        ((*TASK, "componentRef", "name"), "comp-none", "comp-none"),
        ((*TASK, "dependentTasks"), ["nobody"], "nobody"),
        ((*TASK, "dependentTasks"), ["condition-1"], "depend on each other"),
        ((*INNER, "dag", "tasks", "text", "componentRef", "name"), "comp-condition-1", "contains itself"),
        ((*NUMBER, "command"), ["sh", "-c", "echo"], "a container component"),
        ((*NUMBER, "resources"), {"accelerator": {"type": "gpu", "count": "1"}}, "accelerators"),
        ((*GATE, "triggerPolicy", "condition"), "'it's' == 'x'", "a quote in a compared string"),
        ((*GATE, "triggerPolicy", "condition"),
         "inputs.parameter_values['none'] == 1", "not one of its inputs"),
        ((*GATE, "retryPolicy"), {"maxRetryCount": 2}, "set_retry on a group"),
        (("components", "comp-number", "outputDefinitions", "parameters"),
         {"../x": {"parameterType": "STRING"}}, "invalid name '../x'"),
    ],
)  # fmt: skip
def test_unsupported_features_are_refused_by_name(good: bytes, path: Any, value: Any, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        parsing.parse(changed(good, *path, value=value))


@dsl.container_component
def container():
    return dsl.ContainerSpec(image="alpine", command=["echo"], args=["x"])


@dsl.component(base_image="python:3.11", packages_to_install=["kfp>=2", "pyyaml>=5"])
def with_installed_packages() -> None:
    pass


@dsl.component(base_image="python:3.11", packages_to_install=["left-pad-of-python==9", "pyyaml==0.0.1"])
def with_missing_packages() -> None:
    pass


def one_step(component: Any, folder: Path) -> document.Document:
    @dsl.pipeline(name="one")
    def one() -> None:
        component()

    return document.from_bytes(compiled(one, folder))


def test_a_container_component_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"container: a container component"):
        parsing.parse(one_step(container, tmp_path))


def test_packages_must_be_in_the_image(tmp_path: Path) -> None:
    parsing.parse(one_step(with_installed_packages, tmp_path))
    with pytest.raises(UnsupportedError, match=r"left-pad-of-python is not in the image; pyyaml==0\.0\.1"):
        parsing.parse(one_step(with_missing_packages, tmp_path))


@pytest.mark.parametrize("setting", ["secretAsEnv", "pvcMount", "nodeSelector", "tolerations"])
def test_platform_settings_are_refused_by_name(good: bytes, setting: str) -> None:
    platform = {
        "platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-number": {setting: [{}]}}}}}
    }
    wrapped = document.from_api({"pipeline_spec": yaml.safe_load(good), "platform_spec": platform})
    with pytest.raises(UnsupportedError, match=f"{setting} on number"):
        parsing.parse(wrapped)


def test_a_workspace_is_refused_by_name(good: bytes) -> None:
    platform = {"platforms": {"kubernetes": {"pipelineConfig": {"workspace": {"size": "1Gi"}}}}}
    with pytest.raises(UnsupportedError, match="workspace on the pipeline"):
        parsing.parse(document.from_api({"pipeline_spec": yaml.safe_load(good), "platform_spec": platform}))
