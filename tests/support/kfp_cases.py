"""Steps of the test pipelines, compiled by the SDK like those of users."""

# Steps are written as users write them.
# ruff: noqa: PTH123, PTH103
from typing import NamedTuple, Optional

from kfp import dsl
from kfp.dsl import Dataset, Input, Metrics, Model, Output

component = dsl.component(base_image="python:3.11", install_kfp_package=False)


@component
def number(value: int) -> int:
    return value


@component
def fraction(value: float) -> float:
    return value


@component
def text(value: str) -> str:
    return value


@component
def flag(value: bool) -> bool:
    return value


@component
def numbers(count: int) -> list:
    return list(range(count))


@component
def judged(accuracy: float, label: str) -> NamedTuple("Judged", [("accuracy", float), ("label", str)]):
    from collections import namedtuple

    return namedtuple("Judged", ["accuracy", "label"])(accuracy, label)


@component
def named_items() -> NamedTuple("Items", [("items", list)]):
    from collections import namedtuple

    return namedtuple("Items", ["items"])([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])


@component
def optional(value: int, other: Optional[str] = None) -> str:  # noqa: UP045 - the SDK knows no other spelling
    return f"{value}-{other}"


@component
def fails(message: str) -> int:
    print("about to fail")
    raise ValueError(message)


@component
def sleeps(seconds: float) -> float:
    import time

    time.sleep(seconds)
    return time.time()


@component
def waits(path: str, touch: str = ""):
    """Touch one file, then wait until the other exists."""
    import pathlib
    import time

    if touch:
        pathlib.Path(touch).touch()
    while not pathlib.Path(path).exists():
        time.sleep(0.05)


@component
def total(values: list) -> int:
    return sum(values)


@component
def writes(content: str, data: Output[Dataset]):
    with open(data.path, "w") as file:
        file.write(content)
    data.metadata["length"] = len(content)


@component
def reads(data: Input[Dataset]) -> str:
    with open(data.path) as file:
        return f"{file.read()} {data.uri} {data.metadata.get('length', '')}".strip()


@component
def reads_all(data: Input[list[Dataset]]) -> str:
    return ",".join(open(one.path).read() for one in data)


@component
def writes_folder(model: Output[Model], metrics: Output[Metrics]):
    import os

    os.makedirs(f"{model.path}/deep")
    for name in ("a.txt", "deep/b.txt"):
        with open(f"{model.path}/{name}", "w") as file:
            file.write(name)
    metrics.log_metric("accuracy", 0.75)


@component
def reads_folder(model: Input[Model], metrics: Input[Metrics]) -> str:
    import os

    found = sorted(name for _, _, names in os.walk(model.path) for name in names)
    return f"{found} {metrics.metadata['accuracy']}"


@component
def environment() -> dict:
    import os

    return dict(os.environ)


@component
def final(status: dsl.PipelineTaskFinalStatus) -> str:
    return f"{status.state}|{status.pipeline_task_name}|{status.error_message}"


@component
def reads_folder_names(data: Input[Dataset]) -> str:
    import os

    return ",".join(
        os.path.relpath(f"{folder}/{name}", data.path)
        for folder, _, names in os.walk(data.path)
        for name in names
    )
