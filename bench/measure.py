"""The measurements: each figure is from the command that a user would run."""

import contextlib
import json
import os
import platform as machine
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from kfp import Client, dsl
from kfp.compiler import Compiler
from pydantic import BaseModel

ROOT = Path(__file__).parents[1]
PROVIDER = "pulumi-resource-kubernetes"
EMPTY_STEPS = 40
"""Number of steps of the pipeline that measures the overhead of a step."""


class QuickstartTimes(BaseModel):
    """One quickstart: seconds per phase, by name, in order."""

    phases: dict[str, float]
    slowest: dict[str, float]
    """Seconds of the slowest resources of the platform, which overlap."""

    @property
    def total(self) -> float:
        """Seconds from the command to the summary."""
        return sum(self.phases.values())


class Platform(BaseModel):
    """The measurements of a running platform."""

    journey: QuickstartTimes
    second_up: list[float]
    preview: list[float]
    provider_memory: list[int]
    """Peak bytes of the Kubernetes provider in the quickstart, a second `up` and a preview."""
    cluster_start: list[float]
    resources: int
    empty_steps: int
    empty_seconds: float
    promotion: list[float]
    memory_cluster: int
    memory_pods: int
    machine: str


class Figures(BaseModel):
    """All measurements."""

    warm: Platform
    cold: QuickstartTimes | None


def say(line: str) -> None:
    """Print progress to standard error."""
    sys.stderr.write(f"bench: {line}\n")
    sys.stderr.flush()


def slipway(*arguments: str, env: Mapping[str, str] | None = None) -> tuple[Any, float]:
    """Run a command with `--json`; return its output and its duration in seconds."""
    started = time.monotonic()
    completed = subprocess.run(
        [sys.executable, "-m", "slipway", *arguments, "--json"],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds = time.monotonic() - started
    return (json.loads(completed.stdout) if completed.stdout.strip() else None), seconds


class PeakMemory:
    """The peak memory of the processes of one program, read every tenth of a second."""

    def __init__(self, program: str) -> None:
        """Take the name of the program's file; nothing is read yet."""
        self.bytes = 0
        self._program = program.encode()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Start to read."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; `bytes` keeps the figure."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            for process in Path("/proc").glob("[0-9]*"):
                # A process may end between the two reads.
                with contextlib.suppress(OSError):
                    if self._program in (process / "cmdline").read_bytes().partition(b"\0")[0]:
                        self.bytes = max(self.bytes, _peak((process / "status").read_text()))


def _peak(status: str) -> int:
    """Bytes of the VmHWM line of a process's status; 0 where it has none."""
    peak = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return int(peak[1]) * 1024 if peak else 0


def journey(env: Mapping[str, str]) -> QuickstartTimes:
    """Run a quickstart with the caches in `env`, and delete the platform afterwards."""
    slipway("local", "delete", "--yes", env=env)
    try:
        answer, _ = slipway("quickstart", "local", env=env)
    finally:
        slipway("local", "delete", "--yes", env=env)
    return _journey(answer)


def platform() -> Platform:
    """A quickstart with full caches, and everything that is measured on the platform it leaves."""
    slipway("local", "delete", "--yes")
    try:
        say("quickstart with full caches")
        with PeakMemory(PROVIDER) as first:
            answer, _ = slipway("quickstart", "local")
        say("second up, preview")
        with PeakMemory(PROVIDER) as second:
            again = [slipway("up", "local") for _ in range(3)]
        with PeakMemory(PROVIDER) as third:
            previews = [slipway("preview", "local")[1] for _ in range(3)]
        say("empty pipeline")
        empty = _empty_pipeline(answer["outputs"]["kfp"]["endpoint"])
        say("promotion")
        run = answer["models"][0]["run_id"]
        promotions = [slipway("model", "promote", "--tenant", "team-a", "--run", run)[1] for _ in range(3)]
        status, _ = slipway("status", "local")
        say("cluster stop and start")
        starts = []
        for _ in range(3):
            slipway("local", "stop")
            starts.append(slipway("local", "start")[1])
        return Platform(
            journey=_journey(answer),
            second_up=[seconds for _, seconds in again],
            preview=previews,
            provider_memory=[each.bytes for each in (first, second, third)],
            cluster_start=starts,
            resources=sum(again[0][0]["changes"].values()),
            empty_steps=EMPTY_STEPS,
            empty_seconds=empty,
            promotion=promotions,
            memory_cluster=status["cluster"]["memory"],
            memory_pods=status["cluster"]["pods_memory"],
            machine=f"{os.cpu_count()} cores, Linux {machine.release()}, Python {machine.python_version()}",
        )
    finally:
        slipway("local", "delete", "--yes")


def median(values: list[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def _journey(answer: Any) -> QuickstartTimes:  # noqa: ANN401 - JSON
    def seconds(rows: list[dict[str, Any]]) -> dict[str, float]:
        return {row["name"]: row["seconds"] for row in rows}

    return QuickstartTimes(phases=seconds(answer["phases"]), slowest=seconds(answer["slowest"]))


def _empty_pipeline(endpoint: str) -> float:
    """Seconds from submission to SUCCEEDED of a pipeline of steps that do nothing, one after the other."""

    @dsl.component(base_image="slipway/pipelines", install_kfp_package=False)
    def nothing(before: int) -> int:
        return before + 1

    @dsl.pipeline(name="empty")
    def empty() -> None:
        value: Any = 0
        for _ in range(EMPTY_STEPS):
            task = nothing(before=value)
            task.set_caching_options(False)
            value = task.output

    with tempfile.TemporaryDirectory() as folder:
        package = str(Path(folder) / "empty.yaml")
        Compiler().compile(empty, package)
        client = Client(host=endpoint, namespace="team-a")
        started = time.monotonic()
        run = client.create_run_from_pipeline_package(package, {}, namespace="team-a", enable_caching=False)
        while (state := client.get_run(run.run_id).state) not in {"SUCCEEDED", "FAILED"}:
            time.sleep(0.1)
        if state == "FAILED":
            raise RuntimeError(f"the empty pipeline failed: run {run.run_id}")
        return time.monotonic() - started
