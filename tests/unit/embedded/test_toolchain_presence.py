"""What a preview asks of the cache: it says what is missing, and builds and generates nothing."""

import os

import pulumi
import pytest
from support.toolchain import FakeGo, small_table

from embedded import session, toolchain
from embedded.toolchain import build, kserve
from infra.cluster import embedded as embedded_cluster
from slipway.core.errors import UsageError
from slipway.operations import workspace

FIX = "Build it first: make tools (or: slipway doctor --fix)"


@pytest.fixture(autouse=True)
def go(tmp_path, monkeypatch):
    """Two tools to build, the second of which stands for KServe."""
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "cache"))
    fake = FakeGo(tmp_path / "fake")
    monkeypatch.setenv("PATH", f"{fake.command.parent}:{os.environ['PATH']}")
    table = small_table(tmp_path / "go", monkeypatch)
    monkeypatch.setattr(kserve, "TOOLS", {"kserve": table["pair"]})
    return fake


@pytest.fixture
def generated(tmp_path, monkeypatch):
    """Stand in for controller-gen; returns the calls."""
    calls = []

    def generate(_generator, _go, work):
        calls.append(work)
        (work / "out").mkdir()
        (work / "out" / "role.yaml").write_text("kind: ClusterRole\n")

    monkeypatch.setattr(kserve, "_generate", generate)
    monkeypatch.setattr(kserve, "binary", lambda _name, _report: tmp_path / "controller-gen")
    return calls


def test_missing_tools_are_named_with_the_way_out(go):
    with pytest.raises(UsageError) as refused:
        toolchain.require()
    assert refused.value.what == "Not built yet: one v1.2.3, pair 7aac2a2c5b7c."
    assert refused.value.fix == FIX
    assert go.builds == 0


def test_missing_manifests_are_named_too(go, generated):
    build.ensure(["one", "left"])
    with pytest.raises(UsageError) as refused:
        toolchain.require()
    assert refused.value.what == "Not built yet: manifests of KServe v0.0.0-20260212201848-7aac2a2c5b7c."
    assert (go.builds, generated) == (2, [])
    toolchain.kserve_manifests()
    toolchain.require()
    assert len(generated) == 1


@pytest.mark.parametrize("dry_run", [True, False])
def test_only_a_run_that_changes_generates(generated, monkeypatch, dry_run):
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: dry_run)
    monkeypatch.setattr(pulumi.log, "info", lambda _line: None)
    if dry_run:
        with pytest.raises(UsageError, match="Not built yet"):
            embedded_cluster._kserve_manifests()
    else:
        assert (embedded_cluster._kserve_manifests() / "role.yaml").is_file()
    assert len(generated) == (not dry_run)


@pytest.mark.parametrize("is_built", [True, False])
def test_a_preview_gets_its_tools_only_if_they_are_there(go, generated, monkeypatch, is_built):
    monkeypatch.setattr(session, "environment", lambda _instance, _report: {"PATH": "x"})
    monkeypatch.setattr(workspace, "instance", lambda: None)
    if is_built:
        build.ensure(["one", "left"])
        toolchain.kserve_manifests()
        assert workspace.tool_environment("s", environment="local", build=False) == {"PATH": "x"}
        assert (go.builds, len(generated)) == (2, 1)
    else:
        with pytest.raises(UsageError, match="Not built yet"):
            workspace.tool_environment("s", environment="local", build=False)
        assert go.builds == 0
    assert workspace.tool_environment("s", environment="dev", build=False) == {}, "it brings its own tools"
