"""Builds with a stand-in for `go`: what is kept, what is reported, and what a failure leaves."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.toolchain import FakeGo, small_table
from support.waiting import PATIENCE_SECONDS, eventually, gone

from embedded.toolchain import build, cache, golang
from embedded.toolchain.tools import Binary, Tool
from slipway.core.errors import FailedError, UsageError


@pytest.fixture
def go(tmp_path, monkeypatch):
    fake = FakeGo(tmp_path / "fake")
    monkeypatch.setenv("PATH", f"{fake.command.parent}:{os.environ['PATH']}")
    return fake


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def table(tmp_path, monkeypatch, go, root):
    return small_table(tmp_path / "go", monkeypatch)


def _left(root: Path) -> list[str]:
    """Everything in the cache but locks and logs."""
    found = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return sorted(path for path in found if not path.endswith(".lock") and not path.startswith("logs/"))


def test_a_binary_is_built_once_and_found_the_second_time(go, root):
    lines = []
    path = build.binary("one", lines.append)
    assert subprocess.run([path], capture_output=True, text=True, check=True).stdout == "whole\n"
    assert path.parent.parent == root / "tools" / "one"
    assert lines[0] == "to make, in this order: one v1.2.3"
    assert lines[-1].startswith("one v1.2.3 built in 0:0")
    silence = []
    assert build.binary("one", silence.append) == path
    assert (go.builds, silence) == (1, [])


def test_binaries_of_one_tool_are_built_together(go):
    paths = build.ensure(["left", "right"])
    assert go.builds == 1
    assert [path.name for path in paths.values()] == ["left", "right"]
    assert all(os.access(path, os.X_OK) for path in paths.values())


def _embedding(table: dict[str, Tool], monkeypatch: pytest.MonkeyPatch) -> Tool:
    tool = dataclasses.replace(table["one"], files={"schema.json": "cmd/one/schema.json"})
    monkeypatch.setattr(build, "BINARIES", build.BINARIES | {"one": tool})
    return tool


def test_files_of_the_module_are_embedded_from_where_it_is(go, table, monkeypatch):
    tool = _embedding(table, monkeypatch)
    (go.folder / "download").write_text(json.dumps({"Dir": "/modules/one@v1.2.3"}, indent=1))
    build.binary("one")
    overlay = {str(tool.folder / "schema.json"): "/modules/one@v1.2.3/cmd/one/schema.json"}
    assert json.loads((go.folder / "overlay").read_text()) == {"Replace": overlay}
    build.binary("left")
    assert (go.folder / "overlay").read_text() == "", "only for a tool that embeds"


@pytest.mark.parametrize(
    ("mode", "answer", "why"),
    [
        ("offline", "dial tcp: no such host", "could not be reached"),
        ("works", "{}", "{}"),
        ("works", "not JSON", "not JSON"),
    ],
)
def test_a_module_that_cannot_be_fetched_is_an_error(go, table, monkeypatch, root, mode, answer, why):
    _embedding(table, monkeypatch)
    (go.folder / "download").write_text(answer)
    go.does(mode)
    with pytest.raises(FailedError) as failed:
        build.binary("one")
    assert "The source of one v1.2.3 could not be fetched." in str(failed.value)
    assert why in failed.value.why
    assert (go.builds, _left(root)) == (0, [])


def test_what_is_to_build_is_told_without_building(go, root):
    assert [tool.name for tool in build.to_build()] == ["one", "pair"]
    build.ensure(["left"])
    assert [tool.name for tool in build.to_build()] == ["one"]
    build.ensure(["one"])
    assert build.to_build() == []
    assert go.builds == 2


def test_only_the_tools_of_the_named_binaries_are_built(go, root):
    build.ensure(["right"])
    assert not (root / "tools" / "one").exists()


def test_what_only_tests_need_is_built_for_tests_alone(go, root, tmp_path, monkeypatch):
    tool = Tool("three", "example.com/three", "v1.0.0", (Binary("three", "example.com/three"),), 1)
    monkeypatch.setattr(
        build, "BINARIES", build.BINARIES | {"three": dataclasses.replace(tool, purpose="tests")}
    )
    monkeypatch.setattr(build.debian, "missing", lambda _names: [])
    (tmp_path / "go" / "three").mkdir()
    for name in ("go.mod", "go.sum"):
        (tmp_path / "go" / "three" / name).write_text((tmp_path / "go" / "one" / name).read_text())
    assert set(build.ensure()) == {"one", "left", "right"}
    assert not (root / "tools" / "three").exists()
    assert set(build.ensure(tests=True)) == {"one", "left", "right", "three"}
    assert build.binary("three").is_file()


def test_an_unknown_name_is_refused_with_the_names_there_are(go):
    with pytest.raises(UsageError, match=r"no tool 'ectd'.*left, one, right"):
        build.binary("ectd")
    assert go.builds == 0


def test_the_build_takes_only_what_is_pinned(go, monkeypatch):
    monkeypatch.setenv("GOFLAGS", "-p=1")
    monkeypatch.setenv("GOPROXY", "off")
    monkeypatch.setenv("GOOS", "plan9")
    build.binary("one")
    env = json.loads((go.folder / "environment").read_text())
    assert (env["GOFLAGS"], env["GOPROXY"]) == ("-p=1", "off"), "the user's settings are respected"
    assert (env["CGO_ENABLED"], env["GOOS"], env["GOARCH"], env["GOWORK"]) == ("0", "linux", "amd64", "off")
    assert "GONOSUMCHECK" not in env
    assert "GONOSUMDB" not in env or env["GONOSUMDB"] == os.environ.get("GONOSUMDB")


def test_the_command_is_read_only_reproducible_and_stripped(table, go, tmp_path):
    command = golang.build_command(golang.find(), table["pair"], tmp_path)
    assert command[2:-2] == [
        *("-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", f"{tmp_path}/")
    ]
    assert command[-2:] == ["example.com/pair/cmd/left", "example.com/pair/cmd/manager"]


@pytest.mark.parametrize(
    ("message", "why", "fix"),
    [
        ("write $WORK/b001/_pkg_.a: no space left on device", "The disk is full", "Free some gigabytes"),
        (
            "dial tcp: lookup proxy.example: no such host",
            "registry could not be reached",
            "Check the network",
        ),
        ("example.com/x@v1: module lookup disabled by GOPROXY=off", "GOPROXY is off", "Unset GOPROXY"),
        (
            "verifying example.com/x@v1: checksum mismatch",
            "not what go.sum pins",
            "Don't switch verification off",
        ),
        ("missing go.sum entry for module", "don't match", "Restore them"),
        ("compile: signal: killed", "ran out of memory", "Stop other programs"),
        ("main.go:3: undefined: x", "undefined: x", "The whole output is in"),
    ],
)
def test_a_failed_build_says_why_and_a_rerun_converges(go, root, message, why, fix):
    go.does("fails", message)
    with pytest.raises(FailedError) as caught:
        build.binary("one")
    assert caught.value.what == "one v1.2.3 could not be built."
    assert why in caught.value.why
    assert fix in caught.value.fix
    assert _left(root) == []
    go.does("works")
    assert build.binary("one").read_text().endswith("echo whole\n")


def test_credentials_of_a_proxy_are_not_repeated(go, root):
    go.does("fails", "GET https://ann:hunter2@proxy.example/x: dial tcp: connection refused")
    with pytest.raises(FailedError) as caught:
        build.binary("one")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in (root / "logs" / "one.log").read_text()


def test_a_go_that_writes_nothing_is_noticed(go, root):
    go.does("writes nothing")
    with pytest.raises(FailedError, match="did not write left, right"):
        build.binary("left")
    assert _left(root) == []


def test_a_full_disk_at_the_last_step_is_reported(go, root, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "publish", full)
    with pytest.raises(FailedError, match="The disk is full"):
        build.binary("one")
    assert _left(root) == []


def test_a_failure_of_one_stops_the_others(go, root, table, monkeypatch):
    real = build.build

    def first_fails(tool, *rest):
        if tool.name == "one":
            while not go.pids:
                time.sleep(0.02)
            raise FailedError("one could not be built.")
        real(tool, *rest)

    go.does("hangs")
    monkeypatch.setattr(build, "build", first_fails)
    monkeypatch.setattr(build, "_lanes", lambda: 2)
    with pytest.raises(FailedError, match="one could not be built"):
        build.ensure(["one", "left"])
    _assert_gone(go.pids)
    assert _left(root) == []


_PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
import pathlib, pytest
from support.toolchain import small_table
from embedded.toolchain import build
small_table(pathlib.Path({sources!r}), pytest.MonkeyPatch())
build.binary("one", lambda line: print(line, flush=True))
"""


def _program(tmp_path) -> subprocess.Popen:
    code = _PROGRAM.format(
        tests=str(Path(__file__).parents[3]), sources=str(tmp_path / f"sources-{time.monotonic_ns()}")
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def _assert_gone(pids: list[int]) -> None:
    assert pids
    eventually(lambda: all(gone(pid) for pid in pids))


def test_ctrl_c_ends_the_compilers_too_and_leaves_nothing(go, root, tmp_path):
    go.does("hangs")
    program = _program(tmp_path)
    eventually(lambda: go.pids)
    os.kill(program.pid, signal.SIGINT)
    _, errors = program.communicate(timeout=PATIENCE_SECONDS)
    assert "KeyboardInterrupt" in errors
    _assert_gone(go.pids)
    assert _left(root) == []
    go.does("works")
    assert build.binary("one").exists()


def test_kill_9_leaves_no_half_binary(go, root, tmp_path):
    go.does("hangs")
    program = _program(tmp_path)
    eventually(lambda: go.pids)
    program.kill()
    program.communicate(timeout=PATIENCE_SECONDS)
    assert list((root / "tools" / "one").glob("[!.]*")) == [], "nothing may look finished"
    for pid in go.pids:  # the kernel ends our child, but not what that child had started
        if not gone(pid):
            os.kill(pid, signal.SIGKILL)
    go.does("works")
    path = build.binary("one")
    assert _left(root) == [
        path.relative_to(root).as_posix(),
        (path.parent / "record.json").relative_to(root).as_posix(),
    ]


def test_two_clones_that_need_the_same_tool_build_it_once(go, root):
    go.does("slow")
    found, lines = [], []
    threads = [
        threading.Thread(target=lambda: found.append(build.binary("one", lines.append))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert go.builds == 1
    assert found[0] == found[1]


def test_no_go_is_refused_with_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(golang, "_USUAL_PLACES", ())
    with pytest.raises(UsageError, match="Go is not installed") as caught:
        build.binary("one")
    assert "Install Go 1.25.4 or newer" in caught.value.fix


@pytest.mark.parametrize("version", ["1.19.8", "1.25.3"])
def test_an_old_go_is_refused_with_what_to_install(go, version):
    go.calls_itself(version, toolchain="local")
    with pytest.raises(UsageError, match=f"Go {version} is too old") as caught:
        build.binary("one")
    assert "needs Go 1.25.4" in caught.value.why
    assert go.builds == 0


def test_an_old_go_that_may_fetch_its_successor_is_used(go):
    go.calls_itself("1.23.0", toolchain="auto")
    assert build.binary("one").exists()


def test_a_go_that_makes_no_sense_is_refused(go):
    go.calls_itself("mystery")
    with pytest.raises(UsageError, match="doesn't work"):
        build.binary("one")
