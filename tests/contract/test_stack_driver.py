"""`infra.stack.stack` over the real CLI: what a person would do around `pulumi up`."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr
from support.platform import outputs
from support.pulumi_cli import environment, project
from support.waiting import PATIENCE_SECONDS, eventually

from infra.stack.stack import Stack
from infra.stack.state import FileBackend, pending
from slipway.core.errors import FailedError, UsageError

pytestmark = pytest.mark.contract

OUTPUTS = outputs(stack="local", tenants={}).model_dump(mode="json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a program that exports what the platform does, or fails as it is told."""
    return project(
        tmp_path / "project",
        f"""\
            import os, pathlib, pulumi, time
            class Part(pulumi.ComponentResource):
                def __init__(self, name, **options):
                    super().__init__("slipway:test:Part", name, opts=pulumi.ResourceOptions(**options))

            if "PROTECT" in os.environ:
                volume = Part("volume", protect=os.environ["PROTECT"] == "yes")
                Part("server", depends_on=[volume])
            for name, value in {OUTPUTS!r}.items():
                pulumi.export(name, value)
            if os.environ.get("FAIL"):
                raise pulumi.RunError(os.environ["FAIL"])
            if "SLEEP" in os.environ:
                pathlib.Path("sleeps").touch()
                time.sleep(float(os.environ["SLEEP"]))
            """,
    )


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path / "environment")


@pytest.fixture
def stack(folder: Path, env: dict[str, str]) -> Stack:
    return Stack("local", folder, env)


def _backend(env: dict[str, str]) -> FileBackend:
    found = FileBackend.of(env["PULUMI_BACKEND_URL"], "slipway", "local")
    assert found is not None
    return found


def test_init_makes_everything_once(stack: Stack, folder: Path) -> None:
    assert not stack.exists()
    stack.init()
    first = stack.settings.read_bytes()
    document = yaml.safe_load(first)
    assert set(document["config"]["slipway:secret"]) == {"secure"}, "encrypted, never in the open"
    assert document["config"]["slipway:platform"] == {"environment": "local"}
    assert stack.exists()
    stack.init()
    assert stack.settings.read_bytes() == first, "a second one must not change the secret"


def test_the_secret_is_strong_and_not_an_argument(
    stack: Stack, folder: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    run = subprocess.run

    def spy(command: list[str], **more: Any) -> Any:
        commands.append(command)
        return run(command, **more)

    monkeypatch.setattr(subprocess, "run", spy)
    stack.init()
    monkeypatch.undo()
    secret = subprocess.run(
        ["pulumi", "config", "get", "slipway:secret", "-s", "local"],
        cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert len(secret) >= 43
    assert commands
    assert all(secret not in argument for command in commands for argument in command)


def test_an_unknown_environment_is_refused_by_name(folder: Path, env: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"'mars'.*Templates in stacks/ are: local.*--environment local$"):
        Stack("mars", folder, env).init()
    assert not (folder / "Pulumi.mars.yaml").exists()


def test_settings_that_outlived_their_state_get_a_new_secret(
    stack: Stack, folder: Path, env: dict[str, str], tmp_path: Path
) -> None:
    stack.init()
    document = yaml.safe_load(stack.settings.read_text())
    document["config"]["slipway:platform"]["serving"] = {"model_cpu": "2"}
    stack.settings.write_text(yaml.safe_dump(document))
    (tmp_path / "new").mkdir()
    (tmp_path / "new-passphrase").write_text("another one")
    renewed = {
        **env,
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/new",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "new-passphrase"),
    }
    again = Stack("local", folder, renewed)
    again.init()
    assert again.up().changes == {"create": 1}
    after = yaml.safe_load(stack.settings.read_text())
    assert after["config"]["slipway:platform"]["serving"] == {"model_cpu": "2"}, "what a person wrote stays"


def test_a_lost_secret_is_not_replaced_under_what_is_up(stack: Stack) -> None:
    stack.init()
    stack.up()
    kept = stack.settings.read_text()
    stack.settings.unlink()
    with pytest.raises(UsageError, match="does not hold the secret of the 1 resources that stack local has"):
        stack.init()
    assert not stack.settings.exists(), "nothing was changed"
    stack.settings.write_text(kept)
    stack.init()
    assert stack.settings.read_text() == kept, "the control: with the file put back it goes on"


def test_up_then_preview_then_destroy(stack: Stack) -> None:
    stack.init()
    first = stack.up()
    assert (first.changes, first.changed) == ({"create": 1}, True)
    assert first.seconds > 0
    second = stack.up()
    assert (second.changes, second.changed) == ({"same": 1}, False)
    assert not stack.preview().changed
    assert [urn.rpartition("::")[2] for urn in stack.resources()] == ["slipway-local"]
    assert stack.destroy().changes == {"delete": 1}
    assert stack.resources() == ()
    assert stack.destroy().changed is False, "twice is fine"


def test_what_is_protected_is_not_destroyed_nor_what_uses_it(folder: Path, env: dict[str, str]) -> None:
    guarded = Stack("local", folder, {**env, "PROTECT": "yes"})
    guarded.init()
    guarded.up()
    there = guarded.resources()
    assert {urn.rpartition("::")[2] for urn in there} == {"slipway-local", "volume", "server"}

    with pytest.raises(UsageError) as refused:
        guarded.destroy()

    assert "protects volume; nothing was deleted" in refused.value.what
    assert "protect_volumes" in str(refused.value.fix)
    assert guarded.resources() == there, "the server is there too, not only its volume"

    given_up = Stack("local", folder, {**env, "PROTECT": "no"})
    given_up.up()
    assert given_up.destroy().changes == {"delete": 3}
    assert given_up.resources() == ()


def test_outputs_are_the_contract(stack: Stack) -> None:
    stack.init()
    stack.up()
    assert stack.outputs().model_dump(mode="json") == OUTPUTS


def test_state_read_from_the_file_is_what_the_cli_exports(
    stack: Stack, folder: Path, env: dict[str, str]
) -> None:
    def exported() -> Any:
        command = ["pulumi", "stack", "export", "-s", "local"]
        done = subprocess.run(command, cwd=folder, env={**os.environ, **env}, capture_output=True, check=True)
        return json.loads(done.stdout)

    stack.init()
    assert stack.export() == exported()
    (folder / "program.py").write_text(
        "import pulumi\npulumi.export('x', pulumi.Output.secret('shibboleth'))\n"
    )
    stack.up()
    assert stack.export() == exported()
    assert "shibboleth" not in json.dumps(stack.export())
    stack.destroy()
    assert stack.export() == exported()


def test_a_stack_that_is_not_up_has_no_outputs(stack: Stack) -> None:
    with pytest.raises(UsageError, match=r"Run: slipway up local$"):
        stack.outputs()
    stack.init()
    with pytest.raises(UsageError, match=r"Run: slipway up local$"):
        stack.outputs()


def test_outputs_of_another_version_are_refused_by_field(stack: Stack, folder: Path) -> None:
    stack.init()
    (folder / "program.py").write_text("import pulumi\npulumi.export('contract_version', 0)\n")
    stack.up()
    with pytest.raises(UsageError, match=r"contract_version.*Run: slipway up local$"):
        stack.outputs()


def test_a_failure_tells_its_reason_once(folder: Path, env: dict[str, str], capfd: Any) -> None:
    stack = Stack("local", folder, {**env, "FAIL": "The sky is falling."})
    stack.init()
    capfd.readouterr()
    with pytest.raises(FailedError) as failure:
        stack.up()
    assert failure.value.why == "The sky is falling."
    captured = capfd.readouterr()
    assert "The sky is falling." in captured.err, "the CLI's own words go to the terminal as they come"
    assert captured.out == "", "standard output belongs to --json"


def test_a_mistake_in_the_settings_starts_nothing(stack: Stack, folder: Path, capfd: Any) -> None:
    stack.init()
    capfd.readouterr()
    stack.settings.write_text(stack.settings.read_text().replace("environment: local", "environment: mars"))
    with pytest.raises(UsageError, match=r"Pulumi\.local\.yaml"):
        stack.up()
    assert capfd.readouterr().err == ""


def test_a_cli_that_was_killed_is_no_obstacle(folder: Path, env: dict[str, str]) -> None:
    stack = Stack("local", folder, env)
    stack.init()
    process = subprocess.Popen(
        ["pulumi", "up", "-s", "local", "--yes", "--skip-preview", "--non-interactive"],
        cwd=folder, env={**os.environ, **env, "SLEEP": "60"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    backend = _backend(env)
    eventually(lambda: list(backend.locks()))
    with pytest.raises(UsageError, match=f"Process {process.pid} "):
        stack.up()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(backend.locks()), "the control: it left its lock"
    assert stack.up().changed


@pytest.mark.parametrize("place", ["stacks/slipway/local.json", "history/slipway/local/*.history.json"])
def test_a_cli_killed_while_it_wrote_is_no_obstacle(
    stack: Stack, folder: Path, env: dict[str, str], place: str
) -> None:
    stack.init()
    stack.up()
    root = Path(env["PULUMI_BACKEND_URL"].removeprefix("file://")) / ".pulumi"
    [attributes, *_] = root.glob(f"{place}.attrs")
    attributes.write_bytes(b"")
    broken = subprocess.run(
        ["pulumi", "stack", "history", "-s", "local", "--non-interactive"],
        cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert broken.returncode != 0
    assert "EOF" in broken.stderr, "the control"
    assert not stack.up().changed
    stack.preview()


def test_interrupted_operations_are_forgotten(stack: Stack, folder: Path, env: dict[str, str]) -> None:
    stack.init()
    (folder / "program.py").write_text(
        "import pulumi\npulumi.export('x', pulumi.Output.secret('shibboleth'))\n"
    )
    stack.up()
    [checkpoint] = Path(env["PULUMI_BACKEND_URL"].removeprefix("file://")).glob(
        ".pulumi/stacks/slipway/local.json"
    )
    document = json.loads(checkpoint.read_text())
    half_made = {
        "urn": "urn:pulumi:local::slipway::slipway:embedded:Cluster::cluster",
        "type": "slipway:embedded:Cluster",
        "custom": False,
    }
    document["checkpoint"]["latest"]["pending_operations"] = [{"type": "creating", "resource": half_made}]
    checkpoint.write_text(json.dumps(document))
    assert pending(stack.export()) == ["slipway:embedded:Cluster"]
    assert not stack.up().changed
    assert pending(stack.export()) == []
    assert "shibboleth" not in checkpoint.read_text()


def test_an_interrupt_is_handed_on_and_ends_cleanly(folder: Path, env: dict[str, str]) -> None:
    Stack("local", folder, env).init()
    script = textwrap.dedent(
        f"""\
        from pathlib import Path
        from infra.stack.stack import Stack
        try:
            Stack("local", Path({str(folder)!r}), {env | {"SLEEP": "60"}!r}).up()
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    backend = _backend(env)
    eventually((folder / "sleeps").exists)
    assert list(backend.locks()), "the control: it holds its lock"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert out == "interrupted\n", err
    assert "Traceback" not in err
    assert not list(backend.locks()), "the CLI itself has cleaned up"
    Stack("local", folder, env).up()


def test_a_driver_that_is_killed_takes_the_cli_along(folder: Path, env: dict[str, str]) -> None:
    Stack("local", folder, env).init()
    script = textwrap.dedent(
        f"""\
        from pathlib import Path
        from infra.stack.stack import Stack
        Stack("local", Path({str(folder)!r}), {env | {"SLEEP": "60"}!r}).up()
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    backend = _backend(env)
    [lock] = eventually(lambda: list(backend.locks()))
    process.send_signal(signal.SIGKILL)
    process.wait()
    eventually(lambda: not Path(f"/proc/{lock.pid}").exists())


def test_settings_and_secrets_are_written_and_removed_again(stack: Stack) -> None:
    stack.init()
    before = stack.settings.read_text()
    stack.stack_settings.store_secret("slipway:registryLogin", SecretStr("not-to-be-shown"))
    assert "not-to-be-shown" not in stack.settings.read_text()
    assert stack.stack_settings.secret("slipway:registryLogin").get_secret_value() == "not-to-be-shown"
    stack.stack_settings.store_secret("slipway:registryLogin", None)
    stack.stack_settings.store_secret("slipway:registryLogin", None)
    assert yaml.safe_load(stack.settings.read_text()) == yaml.safe_load(before)
    stack.stack_settings.write({("config", "slipway:platform", "store", "storage_class"): "standard"})
    platform = yaml.safe_load(stack.settings.read_text())["config"]["slipway:platform"]
    assert platform == {"environment": "local", "store": {"storage_class": "standard"}}
