"""The environment of a local stack."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from support.waiting import eventually

from embedded import session, toolchain
from embedded.instance import Instance
from embedded.plugins import selection
from slipway.core.errors import UsageError


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setattr(toolchain, "bin_dir", lambda _report: tools)
    monkeypatch.setattr(toolchain, "binary", lambda name, _report: tools / name)
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.delenv("PULUMI_HOME", raising=False)
    return Instance("test", tmp_path / "data", tmp_path / "run")


def test_the_environment_refers_to_this_instance(instance: Instance, tmp_path: Path) -> None:
    env = session.environment(instance)
    folder = selection.folder(instance)
    assert env["PATH"].split(os.pathsep)[1] == str(tmp_path / "tools")
    assert env["PULUMI_BACKEND_URL"] == f"file://{folder}/state"
    assert env["SLIPWAY_INSTANCE"] == "test"
    assert env["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"
    assert set(env) <= set(session.EXPORTED)
    assert (folder / "state").is_dir()


def test_the_state_is_not_in_the_clusters_data(instance: Instance) -> None:
    session.environment(instance)
    assert not selection.folder(instance).is_relative_to(instance.data), "destroy deletes those"


def test_the_passphrase_is_random_private_and_kept(instance: Instance, tmp_path: Path) -> None:
    first = Path(session.environment(instance)["PULUMI_CONFIG_PASSPHRASE_FILE"])
    text = first.read_text()
    assert len(text) >= 40
    assert first.stat().st_mode & 0o777 == 0o600
    assert first.parent.stat().st_mode & 0o777 == 0o700
    assert Path(session.environment(instance)["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text() == text
    other = Instance("other", tmp_path / "data", tmp_path / "run")
    assert Path(session.environment(other)["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text() != text
    assert [path.name for path in first.parent.iterdir() if path.name.startswith(".")] == []


def test_no_value_of_the_environment_is_a_secret(instance: Instance) -> None:
    env = session.environment(instance)
    secret = Path(env["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text()
    assert all(secret not in value for value in env.values())
    assert secret not in session.shell_exports(env)


def test_exports_are_quoted_for_a_shell(instance: Instance) -> None:
    hostile = {**session.environment(instance), "KUBECONFIG": "/a b/$(touch x)/`id`/'\"\\\n!"}
    script = session.shell_exports(hostile) + '\nprintf %s "$KUBECONFIG"; printf \'|%s\' "$PATH"'
    output = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert output == f"{hostile['KUBECONFIG']}|{hostile['PATH']}"


def test_exports_do_not_contain_other_variables(instance: Instance) -> None:
    lines = session.shell_exports({**session.environment(instance), "AWS_SECRET_ACCESS_KEY": "x"})
    assert "AWS_SECRET_ACCESS_KEY" not in lines


def test_a_passphrase_of_the_shell_is_unset(instance: Instance) -> None:
    script = (
        session.shell_exports(session.environment(instance))
        + '\nprintf %s "${PULUMI_CONFIG_PASSPHRASE-none}"'
    )
    env = {**os.environ, "PULUMI_CONFIG_PASSPHRASE": "of another stack"}
    output = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env=env)
    assert output.stdout == "none"


def test_a_second_call_does_not_extend_the_path(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    first = session.environment(instance)
    for name, value in first.items():
        monkeypatch.setenv(name, value)
    assert session.environment(instance) == first


def test_remove_is_complete_and_idempotent(instance: Instance) -> None:
    session.environment(instance)
    session.remove(instance)
    assert not instance.data_root.exists()
    session.remove(instance)


def test_remove_ends_the_plugins_of_this_stack_alone(instance: Instance, tmp_path: Path) -> None:
    session.environment(instance)
    other = Instance("other", tmp_path / "data", tmp_path / "run")
    started = []
    for each in (instance, other):
        plugin = selection.home(each) / "plugins" / "resource-test-v1.0.0" / "pulumi-resource-test"
        plugin.parent.mkdir(parents=True)
        shutil.copy("/bin/sleep", plugin)
        started.append(subprocess.Popen([plugin, "60"]))
    mine, theirs = started
    # A process has no command line for a moment after its start.
    eventually(lambda: all(Path(f"/proc/{each.pid}/cmdline").read_bytes() for each in started))
    try:
        session.remove(instance)
        assert mine.wait(10) == -signal.SIGKILL
        assert theirs.poll() is None
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_remove_keeps_other_instances(instance: Instance, tmp_path: Path) -> None:
    other = Instance("other", tmp_path / "data", tmp_path / "run")
    session.environment(other)
    session.environment(instance)
    session.remove(instance)
    assert selection.folder(other).is_dir()


def test_a_folder_without_permission_is_refused(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UsageError, match=r"requires root\. Run as root, or use a stack"):
        session.environment(instance)
