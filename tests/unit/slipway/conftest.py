"""A checkout without a platform, in which nothing may start."""

from pathlib import Path

import pytest
from support.checkout import ROOT
from support.commands import StartedError

from embedded import cluster, session, toolchain
from infra.upstream import preparing


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever prepares a machine or asks a platform fails the test."""

    def start(*arguments: object, **named: object) -> None:
        raise StartedError

    for module, name in (
        (toolchain, "ensure"),
        (preparing, "prepare"),
        (session, "environment"),
        (session, "remove"),
        (cluster, "start"),
        (cluster, "delete"),
    ):
        monkeypatch.setattr(module, name, start)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a command takes for a checkout, with the real templates and no settings."""
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "program.py").touch()
    for name in ("stacks", "tenants"):
        (tmp_path / name).mkdir()
        for path in (ROOT / name).glob("*.yaml"):
            (tmp_path / name / path.name).write_text(path.read_text())
    (tmp_path / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path
