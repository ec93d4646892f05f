"""The command line as its users meet it: help, exit codes, and refusals before anything starts."""

import ast
import importlib.metadata
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from support.checkout import ROOT
from support.commands import GOOD, StartedError, raising
from support.platform import outputs
from support.toolchain import FakeGo, small_table

from embedded.toolchain import debian, doctor, golang, machine
from infra.contract import PlatformOutputs
from slipway import operations
from slipway.cli import app
from slipway.core.errors import FailedError, UsageError
from slipway.operations import workspace


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command and group below `group`, with the words that call it."""
    context = typer.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if hasattr(command, "list_commands"):
            yield from commands(command, (*path, name))


EVERY = dict(commands(typer.main.get_command(app.app)))


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


HEAVY = (
    "boto3",
    "httpx",
    "kfp",
    "kubernetes",
    "numpy",
    "onnxruntime",
    "pandas",
    "pulumi",
    "pyarrow",
    "sklearn",
)


def heavy_after(*calls: list[str]) -> set[str]:
    """Return the heavy modules that a process has loaded after it ran the commands one by one."""
    code = (
        "import json, sys\n"
        "from slipway.cli import app\n"
        "for call in json.loads(sys.argv[1]): app.main(call)\n"
        "print(*sorted(set(sys.argv[2:]) & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(calls), *HEAVY],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_help_and_what_does_not_parse_load_nothing_heavy():
    helps = [[*words, "--help"] for words in EVERY]
    refused = [[*words, "--nosuch"] for words in EVERY]
    assert heavy_after(["--help"], *helps, *refused) == set()


def test_a_command_loads_what_it_calls():
    """The control of the test above."""
    assert "boto3" in heavy_after(["model", "versions", "churn", "--stack", "nosuch"])


@pytest.mark.parametrize(
    "path", sorted(Path(operations.__file__).parent.glob("*.py")), ids=lambda path: path.stem
)
def test_an_operation_prints_nothing(path):
    tree = ast.parse(path.read_text())
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    read = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not called & {"print", "input"}
    assert not read & {"stdout", "stderr", "stdin"}


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
    printed = capsys.readouterr()
    assert message.lower() in printed.err.lower()
    assert printed.out == ""


def test_a_users_mistake_says_what_why_and_what_to_do(monkeypatch, capsys):
    mistake = UsageError("No [red]such[/red] thing.", why="It is gone.", fix="Make it.")
    monkeypatch.setattr(workspace, "outputs", raising(mistake))
    assert app.main(["outputs", "local"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == ["No [red]such[/red] thing.", "It is gone.", "→ Make it."]


@pytest.mark.parametrize(
    "arguments",
    [["--json", "outputs", "local"], ["outputs", "--json", "local"], ["outputs", "local", "--json"]],
)
def test_with_json_a_mistake_is_a_document(arguments, monkeypatch, capsys):
    mistake = UsageError("No such thing.", why="It is gone.", fix="Make it.")
    monkeypatch.setattr(workspace, "outputs", raising(mistake))
    assert app.main(arguments) == 2
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"error": "No such thing.", "why": "It is gone.", "fix": "Make it."}
    assert printed.err == ""


def test_a_failure_of_the_world_exits_1(monkeypatch, capsys):
    monkeypatch.setattr(workspace, "outputs", raising(FailedError("The store is down.", fix="Wait.")))
    assert app.main(["outputs", "local"]) == 1
    assert capsys.readouterr().err.splitlines() == ["The store is down.", "→ Wait."]


def test_an_interruption_exits_130(monkeypatch, capsys):
    monkeypatch.setattr(workspace, "outputs", raising(KeyboardInterrupt()))
    assert app.main(["outputs", "local"]) == 130
    printed = capsys.readouterr()
    assert printed.err == "Interrupted. Run the same command again: it continues from here.\n"
    assert printed.out == ""


DESTRUCTIVE = [["destroy", "local"], ["local", "delete"]]


@pytest.mark.parametrize("answer", ["", "\n", "n\n"], ids=["silence", "return", "no"])
@pytest.mark.parametrize("arguments", DESTRUCTIVE, ids=" ".join)
def test_what_destroys_asks_and_takes_all_but_yes_for_no(
    arguments, answer, project, nothing_starts, monkeypatch, capsys
):
    (project / "Pulumi.local.yaml").write_text(GOOD)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert app.main(arguments) == 1, "a command that went on would raise StartedError"
    shown = capsys.readouterr()
    assert "with all its data? [y/N]:" in shown.out + shown.err
    assert (project / "Pulumi.local.yaml").read_text() == GOOD


@pytest.mark.parametrize(("option", "answer"), [((), "y\n"), (("--yes",), "")], ids=["answer", "option"])
@pytest.mark.parametrize("arguments", DESTRUCTIVE, ids=" ".join)
def test_what_destroys_goes_on_with_a_yes(
    arguments, option, answer, project, nothing_starts, monkeypatch, capsys
):
    (project / "Pulumi.local.yaml").write_text(GOOD)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    with pytest.raises(StartedError):
        app.main([*arguments, *option])
    shown = capsys.readouterr()
    assert ("[y/N]:" in shown.out + shown.err) == (not option), "only --yes is not asked"


def test_outside_of_a_checkout_the_way_in_is_told(tmp_path, monkeypatch, nothing_starts, capsys):
    monkeypatch.chdir(tmp_path)
    assert app.main(["up", "local"]) == 2
    assert "not inside a Slipway checkout" in capsys.readouterr().err


# --- outputs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["serving.endpoint"], "http://127.0.0.1:9\n"),
        (["tenants.team-a.pipeline_root"], "s3://artifacts/team-a/runs\n"),
        (["serving.endpoint", "--json"], '"http://127.0.0.1:9"\n'),
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
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"There is no output '{name}'." in printed.err
    assert known in printed.err


# --- env ------------------------------------------------------------------------------------------------


def test_env_prints_nothing_but_exports_to_standard_output(project, monkeypatch, capsys):
    class Opened:
        def __init__(self) -> None:
            self.env = {"PATH": "/a b:/c", "KUBECONFIG": "/k", "OTHER": "x", "PULUMI_HOME": "/h"}

        def init(self) -> None:
            (project / "Pulumi.local.yaml").write_text(GOOD)

    monkeypatch.setattr(workspace, "open_stack", lambda stack, report, build: report("building") or Opened())
    assert app.main(["env"]) == 0
    printed = capsys.readouterr()
    assert all(re.fullmatch(r"export [A-Z_]+=.*|unset [A-Z_]+", line) for line in printed.out.splitlines())
    assert "export PATH='/a b:/c'" in printed.out
    assert "OTHER" not in printed.out
    assert "building" in printed.err


@pytest.mark.parametrize("missing", [False, True], ids=["complete", "no Go"])
def test_doctor_fails_without_go_and_says_what_to_do(missing, tmp_path, monkeypatch, capsys):
    """On a machine of two small tools, whose only difference is the compiler."""
    go = FakeGo(tmp_path / "fake")
    monkeypatch.setenv("PATH", f"{go.command.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "TOOLS", small_table(tmp_path / "go", monkeypatch))
    monkeypatch.setattr(debian, "PACKAGES", {})
    monkeypatch.setattr(machine, "checks", list)
    if missing:
        monkeypatch.setattr(golang, "_command", lambda: None)
    assert app.main(["doctor"]) == int(missing)
    shown = capsys.readouterr()
    assert ("Install Go 1.25.4" in shown.out) == missing
    assert ("is missing on this machine" in shown.err or "missing" in shown.err) == missing
    assert not (tmp_path / "cache").exists(), "it looks and builds nothing"


def test_the_version_is_the_packages(capsys):
    assert app.main(["--version"]) == 0
    assert capsys.readouterr().out.split() == ["slipway", importlib.metadata.version("slipway")]
