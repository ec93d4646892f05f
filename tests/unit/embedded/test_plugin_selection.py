"""Which plugin is used: official where there is one, in the order in which the CLI looks."""

import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from embedded.instance import Instance
from embedded.plugins import selection
from infra.versions import PULUMI_KUBERNETES

KUBERNETES = "pulumi-resource-kubernetes"
LANGUAGE = "pulumi-language-python"


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance("test", tmp_path / "data", tmp_path / "run")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "bin").mkdir()
    return {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path / "user")}


def _executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def _kinds(instance: Instance, env: dict[str, str]) -> dict[str, str]:
    return {plugin.name: plugin.kind for plugin in selection.plugins(instance, env)}


def _official_kubernetes(home: Path) -> Path:
    return _executable(home / f"plugins/resource-kubernetes-v{PULUMI_KUBERNETES}" / KUBERNETES)


def test_a_bare_machine_gets_stand_ins_and_is_told_why(instance: Instance, env: dict[str, str]) -> None:
    plugins = selection.plugins(instance, env)
    assert {plugin.kind for plugin in plugins} == {"stand-in"}
    assert all(plugin.why for plugin in plugins)
    assert not (instance.data_root).exists(), "asking changes nothing"


def test_official_plugins_on_path_are_used(instance: Instance, env: dict[str, str], tmp_path: Path) -> None:
    for name in (KUBERNETES, LANGUAGE):
        _executable(tmp_path / "bin" / name)
    kinds = _kinds(instance, env)
    assert kinds[KUBERNETES] == kinds[LANGUAGE] == "official"
    assert kinds["pulumi-resource-slipway"] == "stand-in", "there is no official one"


def test_the_language_host_beside_the_real_cli_is_used(
    instance: Instance, env: dict[str, str], tmp_path: Path
) -> None:
    _executable(tmp_path / "opt/pulumi/pulumi")
    _executable(tmp_path / "opt/pulumi" / LANGUAGE)
    (tmp_path / "bin/pulumi").symlink_to(tmp_path / "opt/pulumi/pulumi")
    assert _kinds(instance, env)[LANGUAGE] == "official"


@pytest.mark.parametrize("variable", ["PULUMI_HOME", "HOME"])
def test_an_installed_provider_is_used(
    instance: Instance, env: dict[str, str], tmp_path: Path, variable: str
) -> None:
    home = tmp_path / "elsewhere" if variable == "PULUMI_HOME" else tmp_path / "user/.pulumi"
    if variable == "PULUMI_HOME":
        env["PULUMI_HOME"] = str(home)
    official = _official_kubernetes(home)
    selection.install(instance, env)
    link = selection.home(instance) / f"plugins/resource-kubernetes-v{PULUMI_KUBERNETES}" / KUBERNETES
    assert link.resolve() == official, "the CLI must find it in the home that it is given"


@pytest.mark.parametrize("state", ["other version", "partly installed", "not executable", "a folder"])
def test_what_the_cli_would_not_run_is_not_official(
    instance: Instance, env: dict[str, str], tmp_path: Path, state: str
) -> None:
    official = _official_kubernetes(tmp_path / "user/.pulumi")
    assert _kinds(instance, env)[KUBERNETES] == "official", "the control"
    if state == "other version":
        official.parent.rename(official.parent.with_name("resource-kubernetes-v3.0.0"))
    elif state == "partly installed":
        official.parent.with_name(official.parent.name + ".partial").touch()
    elif state == "not executable":
        official.chmod(0o644)
    else:
        official.unlink()
        official.mkdir()
    assert _kinds(instance, env)[KUBERNETES] == "stand-in"


def test_launchers_are_never_taken_for_official(
    instance: Instance, env: dict[str, str], tmp_path: Path
) -> None:
    selection.install(instance, env)
    ours = selection.home(instance)
    env["PULUMI_HOME"] = str(ours)
    other = Instance("other", tmp_path / "data", tmp_path / "run")
    assert set(_kinds(instance, env).values()) == {"stand-in"}, "in a shell prepared by `slipway env`"
    assert set(_kinds(other, env).values()) == {"stand-in"}, "in the shell of another clone"


def test_launchers_run_our_modules_with_this_interpreter(instance: Instance, env: dict[str, str]) -> None:
    selection.install(instance, env)
    launchers = sorted((selection.home(instance) / "plugins").glob("*/pulumi-*"))
    assert len(launchers) == 3
    for launcher in launchers:
        assert stat.S_IMODE(launcher.stat().st_mode) == 0o755
        last = launcher.read_text().splitlines()[-1]
        assert last.startswith(f"exec {shlex.quote(sys.executable)} -P -m embedded.plugins.")
        module = shlex.split(last)[4]
        assert subprocess.run([sys.executable, "-c", f"import {module}"], check=False).returncode == 0


def test_an_official_plugin_that_appears_ends_the_stand_in(
    instance: Instance, env: dict[str, str], tmp_path: Path
) -> None:
    selection.install(instance, env)
    place = selection.home(instance) / f"plugins/resource-kubernetes-v{PULUMI_KUBERNETES}" / KUBERNETES
    assert not place.is_symlink()
    _official_kubernetes(tmp_path / "user/.pulumi")
    assert selection.install(instance, env)[1].kind == "official"
    assert place.is_symlink()
    (tmp_path / "user/.pulumi").rename(tmp_path / "user/gone")
    assert selection.install(instance, env)[1].kind == "stand-in"
    assert not place.is_symlink(), "and back"


def test_launchers_of_another_version_go(instance: Instance, env: dict[str, str]) -> None:
    old = selection.home(instance) / "plugins/resource-kubernetes-v1.0.0"
    _executable(old / KUBERNETES)
    selection.install(instance, env)
    assert not old.exists(), "the CLI takes the highest version that fits"


def test_installing_twice_touches_nothing(instance: Instance, env: dict[str, str]) -> None:
    selection.install(instance, env)
    files = sorted((selection.home(instance) / "plugins").glob("*/*"))
    before = [path.stat().st_ino for path in files]
    selection.install(instance, env)
    assert [path.stat().st_ino for path in files] == before
