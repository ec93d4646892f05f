"""Which plugin is used: the machine's where it has one, in the order in which the CLI looks."""

import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from embedded import toolchain
from embedded.instance import Instance
from embedded.plugins import selection
from infra.versions import PULUMI_KUBERNETES

KUBERNETES = "pulumi-resource-kubernetes"
LANGUAGE = "pulumi-language-python"
SLIPWAY = "pulumi-resource-slipway"
NOTHING_INSTALLED = {LANGUAGE: "stand-in", KUBERNETES: "built", SLIPWAY: "stand-in"}


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance("test", tmp_path / "data", tmp_path / "run")


@pytest.fixture(autouse=True)
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The provider that the toolchain has built, in its cache."""
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "cache"))
    path = _executable(tmp_path / "cache/tools/pulumi-kubernetes/0123" / KUBERNETES)
    monkeypatch.setattr(toolchain, "binary", lambda name, _report: {KUBERNETES: path}[name])
    return path


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "bin").mkdir()
    return {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path / "user")}


def _executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def _kinds(env: dict[str, str]) -> dict[str, str]:
    return {plugin.name: plugin.kind for plugin in selection.plugins(env)}


def _place(instance: Instance) -> Path:
    return selection.home(instance) / f"plugins/resource-kubernetes-v{PULUMI_KUBERNETES}" / KUBERNETES


def _official_kubernetes(home: Path) -> Path:
    return _executable(home / f"plugins/resource-kubernetes-v{PULUMI_KUBERNETES}" / KUBERNETES)


def test_a_bare_machine_gets_what_slipway_brings(instance: Instance, env: dict[str, str]) -> None:
    plugins = selection.plugins(env)
    assert {plugin.name: plugin.kind for plugin in plugins} == NOTHING_INSTALLED
    assert all(plugin.why for plugin in plugins)
    assert not selection.all_installed(plugins)
    assert not instance.data_root.exists(), "asking changes nothing"


def test_official_plugins_on_path_are_used(env: dict[str, str], tmp_path: Path) -> None:
    for name in (KUBERNETES, LANGUAGE):
        _executable(tmp_path / "bin" / name)
    assert _kinds(env) == {LANGUAGE: "official", KUBERNETES: "official", SLIPWAY: "stand-in"}
    assert selection.all_installed(selection.plugins(env)), "there is no official one of the third"


def test_the_language_host_beside_the_real_cli_is_used(env: dict[str, str], tmp_path: Path) -> None:
    _executable(tmp_path / "opt/pulumi/pulumi")
    _executable(tmp_path / "opt/pulumi" / LANGUAGE)
    (tmp_path / "bin/pulumi").symlink_to(tmp_path / "opt/pulumi/pulumi")
    assert _kinds(env)[LANGUAGE] == "official"


@pytest.mark.parametrize("variable", ["PULUMI_HOME", "HOME"])
def test_an_installed_provider_is_used(
    instance: Instance, env: dict[str, str], tmp_path: Path, variable: str
) -> None:
    home = tmp_path / "elsewhere" if variable == "PULUMI_HOME" else tmp_path / "user/.pulumi"
    if variable == "PULUMI_HOME":
        env["PULUMI_HOME"] = str(home)
    official = _official_kubernetes(home)
    selection.install(instance, env)
    assert _place(instance).resolve() == official, "the CLI must find it in the home that it is given"


@pytest.mark.parametrize("state", ["other version", "partly installed", "not executable", "a folder"])
def test_what_the_cli_would_not_run_is_not_official(env: dict[str, str], tmp_path: Path, state: str) -> None:
    official = _official_kubernetes(tmp_path / "user/.pulumi")
    assert _kinds(env)[KUBERNETES] == "official", "the control"
    if state == "other version":
        official.parent.rename(official.parent.with_name("resource-kubernetes-v3.0.0"))
    elif state == "partly installed":
        official.parent.with_name(official.parent.name + ".partial").touch()
    elif state == "not executable":
        official.chmod(0o644)
    else:
        official.unlink()
        official.mkdir()
    assert _kinds(env)[KUBERNETES] == "built"


def test_ours_are_never_taken_for_official(instance: Instance, env: dict[str, str]) -> None:
    selection.install(instance, env)
    env["PULUMI_HOME"] = str(selection.home(instance))
    assert _kinds(env) == NOTHING_INSTALLED, "in a shell prepared by `slipway env`"


def test_a_link_to_the_users_plugin_is_followed(
    instance: Instance, env: dict[str, str], tmp_path: Path
) -> None:
    official = _official_kubernetes(tmp_path / "user/.pulumi")
    selection.install(instance, env)
    env["PULUMI_HOME"] = str(selection.home(instance))
    selection.install(instance, env)
    assert _place(instance).readlink() == official, "and never to itself"


def test_launchers_run_our_modules_with_this_interpreter(instance: Instance, env: dict[str, str]) -> None:
    selection.install(instance, env)
    launchers = [
        path
        for path in sorted((selection.home(instance) / "plugins").glob("*/pulumi-*"))
        if not path.is_symlink()
    ]
    assert [path.name for path in launchers] == [LANGUAGE, SLIPWAY]
    for launcher in launchers:
        assert stat.S_IMODE(launcher.stat().st_mode) == 0o755
        last = launcher.read_text().splitlines()[-1]
        assert last.startswith(f"exec {shlex.quote(sys.executable)} -P -m ")
        module = shlex.split(last)[4]
        assert subprocess.run([sys.executable, "-c", f"import {module}"], check=False).returncode == 0


def test_an_official_plugin_that_appears_is_used(
    instance: Instance, env: dict[str, str], tmp_path: Path, built: Path
) -> None:
    selection.install(instance, env)
    assert _place(instance).readlink() == built
    official = _official_kubernetes(tmp_path / "user/.pulumi")
    assert selection.install(instance, env)[1].kind == "official"
    assert _place(instance).readlink() == official
    (tmp_path / "user/.pulumi").rename(tmp_path / "user/gone")
    assert selection.install(instance, env)[1].kind == "built"
    assert _place(instance).readlink() == built, "and back"


def test_plugins_of_another_version_are_removed(instance: Instance, env: dict[str, str]) -> None:
    old = selection.home(instance) / "plugins/resource-kubernetes-v1.0.0"
    _executable(old / KUBERNETES)
    selection.install(instance, env)
    assert not old.exists(), "the CLI takes the highest version that fits"


def test_what_the_cli_notes_beside_a_plugin_stays(instance: Instance, env: dict[str, str]) -> None:
    selection.install(instance, env)
    note = _place(instance).parent.with_name(f"{_place(instance).parent.name}.lastused")
    note.touch()
    selection.install(instance, env)
    assert note.is_file()


def test_a_launcher_of_an_earlier_slipway_is_replaced(
    instance: Instance, env: dict[str, str], built: Path
) -> None:
    _executable(_place(instance), "#!/bin/sh\n# slipway: stand-in\n")
    selection.install(instance, env)
    assert _place(instance).readlink() == built


def test_installing_twice_touches_nothing(instance: Instance, env: dict[str, str]) -> None:
    selection.install(instance, env)
    files = sorted((selection.home(instance) / "plugins").glob("*/*"))
    before = [path.lstat().st_ino for path in files]
    selection.install(instance, env)
    assert [path.lstat().st_ino for path in files] == before
