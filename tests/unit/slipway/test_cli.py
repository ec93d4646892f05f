"""The command line as its users meet it: help, exit codes, and refusals before anything starts."""

import importlib.metadata
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from support.checkout import ROOT, Checkout, checkout

from embedded import cluster, instance, session, toolchain
from infra.contract import (
    ImageOutputs,
    KfpOutputs,
    PlatformOutputs,
    ServingOutputs,
    StoreOutputs,
    TenantOutputs,
)
from slipway import app, render, workspace
from slipway.commands import quickstart as quickstart_command
from storage.errors import FailedError, UsageError

SECRET = "  slipway:secret: {secure: 'v1:abc:def'}"
GOOD = f"config:\n  slipway:platform:\n    environment: local\n{SECRET}\n"


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command and group below `group`, with the words that call it."""
    context = typer.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if hasattr(command, "list_commands"):
            yield from commands(command, (*path, name))


EVERY = dict(commands(typer.main.get_command(app.app)))


class StartedError(AssertionError):
    """A command went on where it had to refuse."""


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever prepares a machine or asks a platform fails the test."""

    def start(*arguments: object, **named: object) -> None:
        raise StartedError

    for module, name in (
        (toolchain, "ensure"),
        (toolchain, "kserve_manifests"),
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


def outputs() -> PlatformOutputs:
    """What a platform with one tenant says of itself."""
    tenant = {name: f"the-{name}" for name in TenantOutputs.model_fields}
    return PlatformOutputs(
        contract_version=2,
        stack="local",
        environment="local",
        kubeconfig=None,
        kfp=KfpOutputs(
            endpoint="http://127.0.0.1:4",
            internal_endpoint="http://kfp:8888",
            auth_mode="none",
            audience=None,
            backend="embedded",
        ),
        store=StoreOutputs(
            kind="minio",
            endpoint="http://127.0.0.1:2",
            internal_endpoint="http://store:9000",
            region="us-east-1",
            tls=False,
            path_style=True,
            ca_config_map=None,
            keyless=False,
            artifacts_bucket="slipway-artifacts",
            models_bucket="slipway-models",
            data_bucket="slipway-data",
        ),
        serving=ServingOutputs(mode="standard", endpoint="http://127.0.0.1:1", runtime="sklearn"),
        images=ImageOutputs(steps="slipway.local/pipelines:0"),
        versions={},
        tenants={
            "team-a": TenantOutputs(
                **{**tenant, "pipeline_root": "s3://slipway-artifacts/team-a/runs", "key_generation": 1}
            )
        },
    )


# --- help -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_command_has_help_with_an_example(words, capsys):
    assert app.main([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: slipway {' '.join(words)}" in shown
    example = re.search(r"^\s+Example:\s+(.*)", shown, re.MULTILINE)
    assert example, shown
    assert "slipway" in example[1]


def test_the_map_names_every_command_and_what_it_does(capsys):
    assert app.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, entry in app.COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(entry.summary)}", shown, re.MULTILINE), name


def test_help_loads_nothing_heavy():
    code = (
        "import sys, slipway.app\n"
        "assert slipway.app.main(['--help']) == 0\n"
        "heavy = {'kfp', 'kubernetes', 'sklearn', 'pandas', 'pulumi', 'boto3'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {sorted(heavy)}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


# --- exit codes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch"], "No such command 'nosuch'"),
        (["model", "nosuch"], "No such command 'nosuch'"),
        (["up"], "Missing argument 'stack'"),
        (["model", "predict"], "Missing argument"),
        (["model", "promote"], "Missing option '--run'"),
        (["up", "local", "--nosuch"], "No such option: --nosuch"),
        (["up", "local", "extra"], "unexpected extra argument"),
        (["quickstart", "local", "--threshold", "high"], "Invalid value for '--threshold'"),
    ],
)
def test_a_command_that_does_not_parse_exits_2(arguments, message, capsys):
    assert app.main(arguments) == 2
    said = capsys.readouterr()
    assert message.lower() in said.err.lower()
    assert said.out == ""


def raising(error: BaseException) -> Any:
    def fail(*arguments: object, **named: object) -> None:
        raise error

    return fail


def test_a_users_mistake_says_what_why_and_what_to_do(monkeypatch, capsys):
    mistake = UsageError("No [red]such[/red] thing.", why="It is gone.", fix="Make it.")
    monkeypatch.setattr(workspace, "outputs", raising(mistake))
    assert app.main(["outputs", "local"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["No [red]such[/red] thing.", "It is gone.", "→ Make it."]


@pytest.mark.parametrize(
    "arguments",
    [["--json", "outputs", "local"], ["outputs", "--json", "local"], ["outputs", "local", "--json"]],
)
def test_with_json_a_mistake_is_a_document_wherever_the_flag_stands(arguments, monkeypatch, capsys):
    mistake = UsageError("No such thing.", why="It is gone.", fix="Make it.")
    monkeypatch.setattr(workspace, "outputs", raising(mistake))
    assert app.main(arguments) == 2
    said = capsys.readouterr()
    assert json.loads(said.out) == {"error": "No such thing.", "why": "It is gone.", "fix": "Make it."}
    assert said.err == ""


def test_a_failure_of_the_world_exits_1(monkeypatch, capsys):
    monkeypatch.setattr(workspace, "outputs", raising(FailedError("The store is down.", fix="Wait.")))
    assert app.main(["outputs", "local"]) == 1
    assert capsys.readouterr().err.splitlines() == ["The store is down.", "→ Wait."]


def test_an_interruption_exits_130_and_says_that_a_rerun_goes_on(monkeypatch, capsys):
    monkeypatch.setattr(workspace, "outputs", raising(KeyboardInterrupt()))
    assert app.main(["outputs", "local"]) == 130
    said = capsys.readouterr()
    assert said.err == "Interrupted. Run the same command again: it goes on from here.\n"
    assert said.out == ""


@pytest.mark.parametrize("arguments", [["destroy", "local"], ["local", "delete"]])
def test_what_destroys_asks_first_and_takes_silence_for_no(arguments, project, nothing_starts, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert app.main(arguments) == 1


def test_outside_of_a_checkout_the_way_in_is_told(tmp_path, monkeypatch, nothing_starts, capsys):
    monkeypatch.chdir(tmp_path)
    assert app.main(["up", "local"]) == 2
    assert "not inside a Slipway checkout" in capsys.readouterr().err


# --- outputs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["kfp.endpoint"], "http://127.0.0.1:4\n"),
        (["tenants.team-a.pipeline_root"], "s3://slipway-artifacts/team-a/runs\n"),
        (["kfp.endpoint", "--json"], '"http://127.0.0.1:4"\n'),
        (["kubeconfig"], "null\n"),
    ],
)
def test_outputs_are_found_by_their_dotted_path(arguments, answer, monkeypatch, capsys):
    monkeypatch.setattr(workspace, "outputs", lambda stack: outputs())
    assert app.main(["outputs", "local", *arguments]) == 0
    assert capsys.readouterr().out == answer


def test_all_outputs_are_the_contract(monkeypatch, capsys):
    monkeypatch.setattr(workspace, "outputs", lambda stack: outputs())
    assert app.main(["outputs"]) == 0
    assert PlatformOutputs.model_validate_json(capsys.readouterr().out) == outputs()


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("nosuch", "kfp"),
        ("kfp.nosuch", "endpoint"),
        ("tenants.team-b.namespace", "team-a"),
        ("kfp.endpoint.host", "nothing"),
        ("kfp..endpoint", "endpoint"),
    ],
)
def test_an_unknown_output_is_refused_with_what_there_is(name, known, monkeypatch, capsys):
    monkeypatch.setattr(workspace, "outputs", lambda stack: outputs())
    assert app.main(["outputs", "local", name]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"There is no output '{name}'." in said.err
    assert known in said.err


# --- env ------------------------------------------------------------------------------------------------


def test_env_prints_nothing_but_exports_to_standard_output(project, monkeypatch, capsys):
    class Opened:
        def __init__(self) -> None:
            self.env = {"PATH": "/a b:/c", "KUBECONFIG": "/k", "OTHER": "x", "PULUMI_HOME": "/h"}

        def init(self) -> None:
            (project / "Pulumi.local.yaml").write_text(GOOD)

    monkeypatch.setattr(workspace, "open_stack", lambda stack, report: report("building") or Opened())
    assert app.main(["env"]) == 0
    said = capsys.readouterr()
    assert all(re.fullmatch(r"export [A-Z_]+=.*|unset [A-Z_]+", line) for line in said.out.splitlines())
    assert "export PATH='/a b:/c'" in said.out
    assert "OTHER" not in said.out
    assert "building" in said.err


# --- settings that can't be -----------------------------------------------------------------------------

MALFORMED = {
    "bad YAML": ("config: [\n", "Pulumi.local.yaml:2"),
    "unknown key": (f"{GOOD}stray: 1\n", "Pulumi.local.yaml: stray: unknown key"),
    "unknown setting": (
        GOOD.replace("local\n", "local\n    store: {sizegib: 3}\n"),
        "Pulumi.local.yaml: slipway:platform.store.sizegib",
    ),
    "wrong type": (
        GOOD.replace("local\n", "local\n    store: {size_gib: ten}\n"),
        "Pulumi.local.yaml: slipway:platform.store.size_gib",
    ),
}


@pytest.mark.parametrize("kind", MALFORMED)
@pytest.mark.parametrize(
    "command", [["up", "local"], ["preview", "local"], ["quickstart"], ["env"]], ids=" ".join
)
def test_malformed_settings_are_refused_by_file_and_field(command, kind, project, nothing_starts, capsys):
    text, named = MALFORMED[kind]
    (project / "Pulumi.local.yaml").write_text(text)
    assert app.main(command) == 2
    said = capsys.readouterr()
    assert named in said.err
    assert "Preparing" not in said.err
    assert said.out == ""
    assert (project / "Pulumi.local.yaml").read_text() == text


@pytest.mark.parametrize("settings", [GOOD, None], ids=["initialised", "new"])
def test_a_malformed_tenant_is_refused_before_anything_starts(settings, project, nothing_starts, capsys):
    if settings:
        (project / "Pulumi.local.yaml").write_text(settings)
    (project / "tenants" / "team-b.yaml").write_text("name: team-b\nquota: {pods: many}\n")
    assert app.main(["up", "local"]) == 2
    said = capsys.readouterr().err
    assert "tenants/team-b.yaml: quota.pods" in said
    assert "Preparing" not in said


def test_settings_that_can_be_go_on(project, nothing_starts):
    """The control of the refusals above: only the settings kept the command from starting."""
    (project / "Pulumi.local.yaml").write_text(GOOD)
    with pytest.raises(StartedError):
        app.main(["up", "local"])


@pytest.mark.parametrize("command", [["up", "local"], ["quickstart"], ["init", "local"]], ids=" ".join)
def test_what_an_interrupt_left_without_a_secret_goes_on(command, project, nothing_starts):
    """Stopped between writing the file and making its secret, the same command continues."""
    (project / "Pulumi.local.yaml").write_text(GOOD.replace(SECRET, ""))
    with pytest.raises(StartedError):
        app.main(command)


def test_init_takes_the_kind_of_environment_that_a_refusal_names(project, nothing_starts, capsys):
    assert app.main(["up", "mine"]) == 2
    assert "slipway init mine --environment local" in capsys.readouterr().err
    with pytest.raises(StartedError):
        app.main(["init", "mine", "--environment", "local"])
    assert app.main(["init", "mine", "--environment", "moon"]) == 2
    assert "There is no kind of environment 'moon'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return checkout(tmp_path_factory.mktemp("clone"))


@pytest.mark.parametrize(("command", "kind"), [("up", "bad YAML"), ("quickstart", "wrong type")])
def test_a_refusal_leaves_no_trace_on_the_machine(command, kind, clone, tmp_path):
    """The same from outside, with nothing patched: no data, no tools, no cache."""
    text, named = MALFORMED[kind]
    (clone.path / "Pulumi.local.yaml").write_text(text)
    cache, name = tmp_path / "cache", f"slw-{instance._digest(str(clone.path))[:8]}"
    nowhere = {"SLIPWAY_CACHE": str(cache), "PATH": str(tmp_path)}  # a build would find no compiler
    done = clone.slipway(command, "local", timeout=60, env=nowhere)
    assert done.code == 2
    assert named in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    assert not cache.exists()
    assert not (instance.DATA_ROOT / name).exists()
    assert not (instance.RUN_ROOT / name).exists()


# --- data that can't be ---------------------------------------------------------------------------------

BAD_DATA: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "It is empty."),
    "not text": (b"a,target\n\xff\xfe,1\n", "It is not UTF-8 text."),
    "no header": (b"\n\n", "It has no header."),
    "no target": (b"a,b\n1,2\n", "No column is named 'target'"),
    "no feature": (b"target\nx\ny\n", "There is no feature column"),
    "no rows": (b"a,target\n", "It has a header and no rows."),
    "twice": (b"a,a,target\n1,2,x\n1,2,y\n", "Two columns are named 'a'."),
    "ragged": (b"a,target\n1,x\n1\n", "Line 3 has 1 cells, the header has 2."),
    "one class": (b"a,target\n1,x\n2,x\n", "The target has one class only: 'x'."),
    "rare class": (b"a,target\n1,x\n2,x\n3,y\n", "Too few rows to hold one out"),
    "missing target": (b"a,target\n1,x\n2,\n", "Line 3 has no target."),
    "words": (b"a,target\n1,x\nred,x\n3,y\n4,y\n", "Not numeric: 'a' (a has 'red' in line 3)"),
    "missing value": (
        b"a,target\n1,x\n,x\n3,y\n4,y\n",
        "Missing or infinite values in 'a' (first in line 3)",
    ),
    "infinite": (b"a,target\n1,x\ninf,x\n3,y\n4,y\n", "Missing or infinite values in 'a' (first in line 3)"),
    "open quote": (b'a,target\n"1,x\n', "unexpected end of data"),
}


@pytest.mark.parametrize("kind", BAD_DATA)
def test_bad_data_is_refused_before_anything_starts(kind, tmp_path, project, nothing_starts, capsys):
    content, why = BAD_DATA[kind]
    path = tmp_path / "churn.csv"
    path.write_bytes(content)
    assert app.main(["quickstart", "local", "--data", str(path)]) == 2
    said = capsys.readouterr()
    assert f"{path} can't be trained on." in said.err
    assert why in said.err
    assert "Preparing" not in said.err
    assert said.out == ""


def test_data_that_is_no_file_is_refused(tmp_path, project, nothing_starts, capsys):
    assert app.main(["quickstart", "local", "--data", str(tmp_path / "nosuch.csv")]) == 2
    assert "There is no such file." in capsys.readouterr().err
    assert app.main(["quickstart", "local", "--data", str(tmp_path), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["why"] == "It is not a file."


def test_data_too_large_is_refused_unread(tmp_path, project, nothing_starts, capsys):
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(129 << 20)
    assert app.main(["quickstart", "local", "--data", str(path)]) == 2
    assert "It has 129 MiB; the limit is 128 MiB." in capsys.readouterr().err


def test_good_data_goes_on(tmp_path, project, nothing_starts, monkeypatch):
    """The control of the refusals above."""
    path = tmp_path / "churn.csv"
    path.write_text("a,target\n1,x\n2,x\n3,y\n4,y\n")
    monkeypatch.setattr(quickstart_command, "ready", raising(StartedError()))
    with pytest.raises(StartedError):
        app.main(["quickstart", "local", "--data", str(path)])


@pytest.mark.parametrize("threshold", ["2", "-0.1", "nan", "inf"])
@pytest.mark.parametrize(
    "command", [["quickstart", "local"], ["pipeline", "run", "training", "--model", "churn"]], ids=" ".join
)
def test_a_threshold_that_no_model_can_be_held_to_is_refused(
    command, threshold, project, nothing_starts, capsys
):
    assert app.main([*command, "--threshold", threshold]) == 2
    assert "can't be an accuracy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["training", "--model", "Churn!"], "'Churn!' can't name a model."),
        (["nosuch", "--model", "churn"], "There is no pipeline 'nosuch'."),
        (["training", "--model", "churn", "--data", "nosuch.csv"], "nosuch.csv can't be trained on."),
        (["iris", "--model", "iris", "--data", "nosuch.csv"], "The pipeline iris takes no data"),
    ],
)
def test_a_run_that_can_not_be_is_refused_before_the_platform_is_asked(
    arguments, what, project, nothing_starts, capsys
):
    assert app.main(["pipeline", "run", *arguments]) == 2
    assert what in capsys.readouterr().err


def test_rows_that_can_not_be_asked_for_are_refused(tmp_path, project, nothing_starts, capsys):
    path = tmp_path / "rows.csv"
    for content, what in (("a\n", "holds no rows"), ("a\nred\n", "is not a table of numbers")):
        path.write_text(content)
        assert app.main(["model", "predict", "churn", "--data", str(path)]) == 2
        assert what in capsys.readouterr().err


def test_doctor_fails_where_something_lacks(monkeypatch, capsys):
    class Found:
        ready = False

    monkeypatch.setattr(toolchain, "examine", lambda *, tests: Found)
    monkeypatch.setattr(render, "doctor", lambda found: None)
    assert app.main(["doctor"]) == 1
    assert "This machine lacks something" in capsys.readouterr().err


def test_the_version_is_the_packages(capsys):
    assert app.main(["--version"]) == 0
    assert capsys.readouterr().out.split() == ["slipway", importlib.metadata.version("slipway")]
