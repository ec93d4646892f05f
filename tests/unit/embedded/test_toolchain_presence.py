"""What a preview asks of the cache: it says what is missing, and builds, fetches and renders nothing."""

import os
from types import SimpleNamespace

import pulumi
import pytest
from support import recorded_platform
from support.toolchain import FakeGo, small_table

from embedded import session
from embedded.toolchain import build
from infra.cluster.handle import Connection
from infra.cluster.registry_login import RegistryLogin
from infra.components import upstream
from infra.upstream import object_store, preparing
from infra.upstream.parts import PARTS
from slipway.core.errors import UsageError
from slipway.operations import upstream_parts, workspace

NAMES = ["kubeflow", "kserve", "katib"]
TOOLS_FIRST = "Build it first: make tools (or: slipway doctor --fix)"


@pytest.fixture(autouse=True)
def go(tmp_path, monkeypatch):
    """Two tools to build."""
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "cache"))
    fake = FakeGo(tmp_path / "fake")
    monkeypatch.setenv("PATH", f"{fake.command.parent}:{os.environ['PATH']}")
    small_table(tmp_path / "go", monkeypatch)
    return fake


@pytest.fixture
def rendered(monkeypatch):
    """Stand in for fetching and rendering; returns the parts that were."""
    calls = []

    def render(parts, _builder, _report):
        for part, entry in preparing.missing(parts):
            calls.append(part.name)
            for each in entry.objects:
                place = object_store.place(object_store.cache_folder(), each.sha256)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()

    monkeypatch.setattr(preparing, "prepare", render)
    monkeypatch.setattr(preparing, "programs_for", lambda _parts: [])
    return calls


def test_missing_tools_are_named_with_the_way_out(go):
    with pytest.raises(UsageError) as refused:
        upstream_parts.require()
    assert refused.value.what == "Not built yet: one v1.2.3, pair 7aac2a2c5b7c."
    assert refused.value.fix == TOOLS_FIRST
    assert go.builds == 0


def test_missing_parts_are_named_too(go, rendered):
    build.ensure(["one", "left"])
    with pytest.raises(UsageError) as refused:
        upstream_parts.require()
    names = ", ".join(f"{name} {PARTS[name].version}" for name in NAMES)
    assert refused.value.what == f"Not rendered yet: {names}."
    assert (go.builds, rendered) == (2, [])
    upstream_parts.build()
    upstream_parts.require()
    assert rendered == NAMES


@pytest.mark.parametrize("dry_run", [True, False])
def test_only_a_run_that_changes_renders(rendered, monkeypatch, dry_run):
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: dry_run)
    monkeypatch.setattr(upstream.installed, "bundled", lambda _names: [])
    monkeypatch.setattr(upstream, "Installation", lambda _name, arguments, _options: arguments)
    handle = SimpleNamespace(
        builder=upstream_parts.BUILDER,
        images=recorded_platform.images(),
        connection=Connection(),
        login=RegistryLogin(),
        cert_manager=False,
    )
    arguments = upstream.UpstreamArgs(names=["kserve"], cluster=handle, secret=None)
    assert upstream.install("upstream", arguments, pulumi.ResourceOptions()).parts == []
    assert rendered == ([] if dry_run else ["kserve"])


@pytest.mark.parametrize("is_built", [True, False])
def test_a_preview_gets_its_tools_only_if_they_are_there(go, rendered, monkeypatch, is_built):
    monkeypatch.setattr(session, "environment", lambda _instance, _report: {"PATH": "x"})
    monkeypatch.setattr(workspace, "instance", lambda: None)
    if is_built:
        upstream_parts.build()
        assert workspace.tool_environment("s", environment="local", build=False) == {"PATH": "x"}
        assert (go.builds, len(rendered)) == (2, len(NAMES))
    else:
        with pytest.raises(UsageError, match="Not built yet"):
            workspace.tool_environment("s", environment="local", build=False)
        assert go.builds == 0
    assert workspace.tool_environment("s", environment="dev", build=False) == {}, "it brings its own tools"
