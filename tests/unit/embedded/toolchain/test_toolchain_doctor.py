"""`examine` looks, changes nothing, and gives a way out of everything that is missing."""

import os

import pytest
from support.toolchain import FakeGo, small_table

from embedded.toolchain import build, debian, doctor, golang, machine
from embedded.toolchain.debian import Package


@pytest.fixture(autouse=True)
def go(tmp_path, monkeypatch):
    fake = FakeGo(tmp_path / "fake")
    monkeypatch.setenv("PATH", f"{fake.command.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "TOOLS", small_table(tmp_path / "go", monkeypatch))
    return fake


def _check(found, name):
    [check] = [check for check in found.checks if check.name == name]
    return check


def test_before_a_build_it_says_what_will_be_built(go, tmp_path):
    found = doctor.examine()
    assert [(tool.tool, tool.state, tool.last_seconds) for tool in found.tools] == [
        ("one", "to build", None),
        ("pair", "to build", None),
    ]
    assert found.expected_seconds == 3, "what the table says of a build from nothing"
    assert go.builds == 0
    assert not (tmp_path / "cache").exists()


def test_after_a_build_it_says_where_and_how_long_it_took():
    path = build.binary("one")
    one, pair = doctor.examine().tools
    assert (one.state, one.binaries["one"], one.cached_bytes) == ("cached", path, path.stat().st_size)
    assert one.last_seconds is not None
    assert one.expected_seconds == 0
    assert pair.state == "to build"


def test_after_a_change_of_version_the_last_time_is_still_known(go):
    build.binary("one")
    go.calls_itself("1.99.2")
    one = doctor.examine().tools[0]
    assert one.state == "to build"
    assert one.last_seconds is not None


def test_no_go_is_a_check_that_failed_and_not_an_exception(monkeypatch, tmp_path):
    monkeypatch.setattr(golang, "_command", lambda: None)
    found = doctor.examine()
    go = _check(found, "Go")
    assert not go.ok
    assert "Install Go 1.25.4" in go.fix
    assert not found.ready
    assert go in found.missing
    assert [tool.state for tool in found.tools] == ["to build", "to build"]


@pytest.mark.parametrize(("user", "fixed"), [(0, True), (1000, False)])
def test_missing_packages_stop_only_who_is_not_root(monkeypatch, user, fixed):
    monkeypatch.setattr(debian, "PACKAGES", {"frobnicator": Package("frobnicator", commands=("frobnicate",))})
    monkeypatch.setattr(os, "geteuid", lambda: user)
    found = doctor.examine()
    check = _check(found, "Debian packages")
    assert (check.ok, check.fixed_by_up) == (False, fixed)
    assert check in found.missing
    assert check.fix == "apt-get update && apt-get install --yes --no-install-recommends frobnicator"


def test_every_failed_check_names_a_way_out(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "sysconf", lambda _name: 1024)
    monkeypatch.setattr(machine.cache, "free_bytes", lambda: 5 * 1024**3)
    monkeypatch.setattr(machine.platform, "system", lambda: "Plan9")
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path)
    monkeypatch.setattr(machine.shutil, "which", lambda _name: None)
    failed = [check for check in machine.checks() if not check.ok]
    assert {check.name for check in failed} >= {
        *("operating system", "user", "cgroups", "network namespaces", "memory", "disk")
    }
    assert [check.name for check in failed if not check.fix] == []


@pytest.mark.parametrize(("controllers", "ok"), [("cpuset cpu io memory pids", True), ("cpu io pids", False)])
def test_cgroups_of_version_2_are_read_from_their_list(monkeypatch, tmp_path, controllers, ok):
    (tmp_path / "cgroup.controllers").write_text(controllers)
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path)
    [check] = [check for check in machine.checks() if check.name == "cgroups"]
    assert check.ok is ok
    assert check.detail.startswith("v2")


def test_the_answer_is_json():
    found = doctor.examine()
    assert doctor.Examination.model_validate_json(found.model_dump_json()) == found
