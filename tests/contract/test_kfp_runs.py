"""Pipelines compiled by the SDK, run through the unmodified client: each row of what the SDK's local runner
gets wrong, and what it gets right."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Optional

import pytest
from kfp import compiler, dsl
from support import kfp_cases as steps
from support.kfp_server import BUCKET, TENANT, KfpServer, launcher_objects
from support.minio import Minio, running_minio

pytestmark = [pytest.mark.contract, pytest.mark.filterwarnings("ignore::FutureWarning")]


@dataclass
class Platform:
    minio: Minio
    server: KfpServer
    client: Any
    folder: Path

    def run(self, pipeline: Any, **arguments: Any) -> "Result":
        started = self.client.create_run_from_pipeline_func(
            pipeline, arguments=arguments, namespace=TENANT, enable_caching=False
        )
        ended = self.client.wait_for_run_completion(started.run_id, 120, sleep_duration=0.05)
        return Result(self, ended)


@dataclass
class Result:
    platform: Platform
    run: Any

    @property
    def state(self) -> str:
        return str(self.run.state)

    @property
    def error(self) -> str:
        return self.run.error.message if self.run.error else ""

    @property
    def tasks(self) -> dict[str, Any]:
        return self.platform.server.tasks(self.run.run_id)

    def states(self) -> dict[str, str]:
        return {path: task["state"] for path, task in self.tasks.items()}

    def output(self, path: str, name: str = "Output") -> Any:
        return self.tasks[path]["outputs"]["parameters"][name]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("kfp")
    with running_minio(folder) as minio:
        minio.client().create_bucket(Bucket=BUCKET)
        (folder / "launcher.yaml").write_text(launcher_objects(minio))
        server = KfpServer(folder / "data", folder / "launcher.yaml").start()
        try:
            yield Platform(minio, server, server.client(), folder)
        finally:
            server.stop()


def pipeline(function: Callable[..., Any]) -> Any:
    return dsl.pipeline(name=function.__name__.replace("_", "-"))(function)


def gate(operand: Callable[[], Any], compare: Callable[[Any], Any]) -> Any:
    @pipeline
    def gated() -> None:
        with dsl.If(compare(operand())):
            steps.number(value=1)

    return gated


GATES = {
    "int >= int, true": (lambda: steps.number(value=3).output, lambda v: v >= 3, True),
    "int >= int, false": (lambda: steps.number(value=2).output, lambda v: v >= 3, False),
    "int > float, true": (lambda: steps.number(value=3).output, lambda v: v > 2.5, True),
    "int > float, false": (lambda: steps.number(value=2).output, lambda v: v > 2.5, False),
    "float < int": (lambda: steps.fraction(value=0.5).output, lambda v: v < 1, True),
    "whole float == int": (lambda: steps.fraction(value=1.0).output, lambda v: v == 1, True),
    "string": (lambda: steps.text(value="a").output, lambda v: v == "a", True),
    "string with quotes": (lambda: steps.text(value="it's \"so\"").output, lambda v: v == "a", False),
    "string is not number": (lambda: steps.text(value="10").output, lambda v: v < "9", True),
    "bool, true": (lambda: steps.flag(value=True).output, lambda v: v == True, True),  # noqa: E712
    "bool, false": (lambda: steps.flag(value=False).output, lambda v: v == True, False),  # noqa: E712
    "named float": (
        lambda: steps.judged(accuracy=0.9, label="x").outputs["accuracy"], lambda v: v >= 0.85, True,
    ),
    "named float, false": (
        lambda: steps.judged(accuracy=0.8, label="x").outputs["accuracy"], lambda v: v >= 0.85, False,
    ),
    "named string": (
        lambda: steps.judged(accuracy=0.9, label="x").outputs["label"], lambda v: v != "y", True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GATES)
def test_conditions_are_evaluated(platform: Platform, case: str) -> None:
    operand, compare, holds = GATES[case]
    result = platform.run(gate(operand, compare))
    assert result.state == "SUCCEEDED", result.error
    assert result.states()["condition-1"] == ("SUCCEEDED" if holds else "SKIPPED")
    assert ("condition-1/number" in result.states() or "condition-1/number-2" in result.states()) is holds


@pytest.mark.parametrize(("value", "branch"), [(1, "one"), (2, "two"), (3, "other")])
def test_exactly_one_branch_runs_and_gives_the_output(platform: Platform, value: int, branch: str) -> None:
    @pipeline
    def branches(value: int) -> str:
        made = steps.number(value=value)
        with dsl.If(made.output == 1):
            one = steps.text(value="one")
        with dsl.Elif(made.output == 2):
            two = steps.text(value="two")
        with dsl.Else():
            other = steps.text(value="other")
        chosen = dsl.OneOf(one.output, two.output, other.output)
        steps.text(value=chosen)
        return chosen

    result = platform.run(branches, value=value)
    assert result.state == "SUCCEEDED", result.error
    ran = [path for path, task in result.tasks.items() if task["kind"] == "step" and "condition" in path]
    assert [result.output(path) for path in ran] == [branch]
    assert result.output("text-4") == branch


def test_one_of_artifacts(platform: Platform) -> None:
    @pipeline
    def artifacts(left: bool) -> None:
        with dsl.If(left == True):  # noqa: E712
            one = steps.writes(content="left")
        with dsl.Else():
            two = steps.writes(content="right")
        steps.reads(data=dsl.OneOf(one.outputs["data"], two.outputs["data"]))

    assert platform.run(artifacts, left=True).output("reads").startswith("left")
    assert platform.run(artifacts, left=False).output("reads").startswith("right")


def test_a_condition_in_a_nested_pipeline(platform: Platform) -> None:
    @pipeline
    def inner(value: int) -> None:
        with dsl.If(value > 5):
            steps.number(value=value)

    @pipeline
    def outer() -> None:
        inner(value=1)
        inner(value=9)

    result = platform.run(outer)
    assert result.states()["inner/condition-1"] == "SKIPPED"
    assert result.states()["inner-2/condition-1/number"] == "SUCCEEDED"


def test_outputs_of_loops_are_collected(platform: Platform) -> None:
    @pipeline
    def loops(numbers: list) -> None:
        with dsl.ParallelFor([1, 2, 3]) as item:
            fixed = steps.number(value=item)
        steps.total(values=dsl.Collected(fixed.output))
        with dsl.ParallelFor(steps.numbers(count=4).output) as item:
            dynamic = steps.number(value=item)
        steps.total(values=dsl.Collected(dynamic.output))
        with dsl.ParallelFor(steps.named_items().outputs["items"], parallelism=1) as item:
            named = steps.number(value=item.a)
            steps.text(value=item.b)
        steps.total(values=dsl.Collected(named.output))
        with dsl.ParallelFor(numbers) as item:
            parameter = steps.number(value=item)
        steps.total(values=dsl.Collected(parameter.output))
        with dsl.ParallelFor(numbers) as item, dsl.If(item == "20"):
            steps.text(value=item)

    result = platform.run(loops, numbers=[10, 20])
    assert result.state == "SUCCEEDED", result.error
    assert [result.output(path) for path in ("total", "total-2", "total-3", "total-4")] == [6, 6, 3, 30]
    assert sorted(state for path, state in result.states().items() if "condition" in path) == [
        "SKIPPED", "SUCCEEDED", "SUCCEEDED",
    ]  # fmt: skip


def test_artifacts_of_a_loop_are_collected(platform: Platform) -> None:
    @pipeline
    def collected() -> None:
        with dsl.ParallelFor(["a", "b"]) as item:
            made = steps.writes(content=item)
        steps.reads_all(data=dsl.Collected(made.outputs["data"]))

    assert platform.run(collected).output("reads-all") == "a,b"


def test_a_loop_respects_its_parallelism(platform: Platform) -> None:
    @pipeline
    def limited() -> None:
        with dsl.ParallelFor([0.3, 0.3, 0.3], parallelism=1) as item:
            steps.sleeps(seconds=item)

    result = platform.run(limited)
    spans = sorted(
        (task["start_time"], task["end_time"]) for task in result.tasks.values() if task["kind"] == "step"
    )
    assert len(spans) == 3
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_independent_tasks_run_at_the_same_time(platform: Platform) -> None:
    """Each of the two ends only once the other has begun."""

    @pipeline
    def parallel(one: str, other: str) -> None:
        steps.waits(path=one, touch=other)
        steps.waits(path=other, touch=one)

    one, other = platform.folder / "one", platform.folder / "other"
    assert platform.run(parallel, one=str(one), other=str(other)).state == "SUCCEEDED"


def test_an_exit_handler_gets_the_final_status(platform: Platform) -> None:
    @pipeline
    def handled(fail: bool) -> None:
        with dsl.ExitHandler(steps.final()), dsl.If(fail == True):  # noqa: E712
            steps.fails(message="on purpose")

    good = platform.run(handled, fail=False)
    assert good.state == "SUCCEEDED"
    assert good.output("final").startswith("SUCCEEDED|exit-handler-1|")
    bad = platform.run(handled, fail=True)
    assert bad.state == "FAILED"
    assert bad.output("final").startswith("FAILED|exit-handler-1|")
    assert "on purpose" in bad.output("final")


def test_a_failure_skips_only_dependent_tasks(platform: Platform) -> None:
    @pipeline
    def failing() -> None:
        broken = steps.fails(message="the reason")
        steps.number(value=broken.output)
        steps.number(value=7)

    result = platform.run(failing)
    assert result.state == "FAILED"
    assert result.states() == {"fails": "FAILED", "number": "SKIPPED", "number-2": "SUCCEEDED"}
    assert "fails" in result.error
    assert "ValueError: the reason" in result.error
    assert "about to fail" in platform.server.task_log(result.run.run_id, "fails")


def test_ignore_upstream_failure_runs_with_defaults(platform: Platform) -> None:
    @pipeline
    def ignoring() -> None:
        broken = steps.fails(message="x")
        steps.optional(value=1, other="kept").after(broken).ignore_upstream_failure()

    result = platform.run(ignoring)
    assert result.states() == {"fails": "FAILED", "optional": "SUCCEEDED"}
    assert result.state == "FAILED"


def test_retry_counts_attempts(platform: Platform) -> None:
    @pipeline
    def retried() -> None:
        steps.fails(message="x").set_retry(2, backoff_duration="0s")

    result = platform.run(retried)
    assert result.tasks["fails"]["attempts"] == 3
    assert platform.server.task_log(result.run.run_id, "fails").count("about to fail") == 3


def test_a_parameter_left_at_none(platform: Platform) -> None:
    @pipeline
    def defaults(other: Optional[str] = None) -> None:  # noqa: UP045
        steps.optional(value=1, other=other)
        steps.optional(value=2)

    assert platform.run(defaults).output("optional") == "1-None"
    result = platform.run(defaults, other="x")
    assert (result.output("optional"), result.output("optional-2")) == ("1-x", "2-None")


def test_placeholders_in_text_are_replaced(platform: Platform) -> None:
    @pipeline
    def texts(name: str) -> None:
        made = steps.number(value=3)
        steps.text(value=f"{name}:{made.output}:{dsl.PIPELINE_TASK_NAME_PLACEHOLDER}")

    assert platform.run(texts, name="n").output("text") == "n:3:text"


def test_files_folders_and_metadata_are_passed_on(platform: Platform) -> None:
    @pipeline
    def travelling() -> None:
        made = steps.writes(content="hello")
        steps.reads(data=made.outputs["data"])
        folder = steps.writes_folder()
        steps.reads_folder(model=folder.outputs["model"], metrics=folder.outputs["metrics"])

    result = platform.run(travelling)
    base = f"{TENANT}/runs/travelling/{result.run.run_id}"
    assert result.output("reads") == f"hello s3://{BUCKET}/{base}/writes/data 5"
    assert result.output("reads-folder") == "['a.txt', 'b.txt'] 0.75"
    keys = set(platform.minio.keys(BUCKET, base))
    assert keys == {f"{base}/{key}" for key in (
        "writes/data", "writes/log", "writes/executor_output.json", "reads/log", "reads/executor_output.json",
        "writes-folder/model/a.txt", "writes-folder/model/deep/b.txt", "writes-folder/log",
        "writes-folder/executor_output.json", "reads-folder/log", "reads-folder/executor_output.json",
    )}  # fmt: skip


def test_an_imported_object_must_exist(platform: Platform) -> None:
    @pipeline
    def importing(uri: str) -> None:
        imported = dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset, metadata={"length": "77"})
        steps.reads(data=imported.output)

    platform.minio.client().put_object(Bucket=BUCKET, Key=f"{TENANT}/data.csv", Body=b"imported")
    uri = f"s3://{BUCKET}/{TENANT}/data.csv"
    assert platform.run(importing, uri=uri).output("reads") == f"imported {uri} 77"
    missing = platform.run(importing, uri=f"{uri}.not")
    assert missing.state == "FAILED"
    assert "does not exist" in missing.tasks["importer"]["error"]["message"]


def test_a_step_does_not_get_the_servers_environment(platform: Platform) -> None:
    @pipeline
    def environments() -> None:
        steps.environment().set_env_variable("GIVEN", "yes")

    seen = platform.run(environments).output("environment")
    assert seen["GIVEN"] == "yes"
    assert set(seen) - {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX"} == {
        "GIVEN", "PATH", "HOME", "TMPDIR", "LANG", "PYTHONUNBUFFERED", "_KFP_RUNTIME", "AWS_DEFAULT_REGION",
    }  # fmt: skip


def test_equal_steps_are_cached_only_if_enabled(platform: Platform) -> None:
    @pipeline
    def cached(content: str) -> None:
        made = steps.writes(content=content)
        steps.reads(data=made.outputs["data"])

    def states(enable: bool, content: str) -> list[bool]:
        run = platform.client.create_run_from_pipeline_func(
            cached, arguments={"content": content}, namespace=TENANT, enable_caching=enable
        )
        ended = platform.client.wait_for_run_completion(run.run_id, 60, sleep_duration=0.05)
        assert ended.state == "SUCCEEDED"
        return [task["cached"] for task in platform.server.tasks(run.run_id).values()]

    assert states(True, "one") == [False, False]
    assert states(True, "one") == [True, True]
    assert states(False, "one") == [False, False]
    assert states(True, "two") == [False, False]


def test_nan_is_not_accepted_as_a_number(platform: Platform) -> None:
    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def nan() -> float:
        return float("nan")

    @pipeline
    def not_a_number() -> None:
        with dsl.If(nan().output >= 0.5):
            steps.number(value=1)

    result = platform.run(not_a_number)
    assert result.state == "FAILED"
    assert "nan" in result.tasks["nan"]["error"]["message"]
    assert result.states()["condition-1"] == "SKIPPED"


def test_an_invalid_condition_fails_the_run(platform: Platform) -> None:
    @pipeline
    def closed(level: Optional[str] = None) -> None:  # noqa: UP045
        with dsl.If(level == "high"):
            steps.number(value=1)

    result = platform.run(closed)
    assert result.state == "FAILED"
    assert "'level' has no value" in result.tasks["condition-1"]["error"]["message"]
    assert "condition-1/number" not in result.states()
    assert platform.run(closed, level="high").state == "SUCCEEDED"


def test_concurrent_runs_have_their_own_results(platform: Platform) -> None:
    @pipeline
    def concurrent(value: int) -> None:
        steps.number(value=steps.number(value=value).output)

    path = platform.folder / "concurrent.yaml"
    compiler.Compiler().compile(concurrent, str(path))
    started = [
        platform.client.create_run_from_pipeline_package(str(path), arguments={"value": n}, namespace=TENANT)
        for n in range(8)
    ]
    for value, run in enumerate(started):
        ended = platform.client.wait_for_run_completion(run.run_id, 60, sleep_duration=0.05)
        assert ended.state == "SUCCEEDED"
        assert platform.server.tasks(run.run_id)["number-2"]["outputs"]["parameters"]["Output"] == value
