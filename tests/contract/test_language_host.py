"""The stand-in language host under the real CLI: what a user of the official one would see too."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from support.pulumi_cli import Project
from support.waiting import PATIENCE_SECONDS, eventually

pytestmark = pytest.mark.contract


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def _program(project: Project, text: str) -> None:
    (project.folder / "program.py").write_text(text)


def _sleeping(project: Project) -> tuple[subprocess.Popen[str], list[int]]:
    """Start an `up` whose program sleeps; return it and the processes of host and program."""
    file = project.folder / "pids"
    pids = "f'{os.getppid()} {os.getpid()}'"
    _program(project, f"import os, time\nopen({str(file)!r}, 'w').write({pids})\ntime.sleep(300)\n")
    process = project.start("up", "-s", "test", "--yes", "--skip-preview")
    return process, [int(pid) for pid in eventually(file.read_text).split()]


def _wait_for_the_end_of(pids: list[int]) -> None:
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_outputs_config_and_secrets_travel(project: Project) -> None:
    project.run("config", "set", "-s", "test", "plain", "word").fine()
    project.run("config", "set", "-s", "test", "--secret", "hidden", "shibboleth").fine()
    _program(
        project,
        "import pulumi\n"
        "config = pulumi.Config()\n"
        "pulumi.export('plain', config.require('plain'))\n"
        "pulumi.export('hidden', config.require_secret('hidden'))\n"
        "pulumi.export('where', [pulumi.get_project(), pulumi.get_stack(), pulumi.get_root_directory()])\n",
    )
    first = project.up().fine().text
    assert "shibboleth" not in first
    shown = project.run("stack", "output", "-s", "test", "--json", "--show-secrets").fine().text
    for word in ('"plain": "word"', '"hidden": "shibboleth"', str(project.folder)):
        assert word in shown
    assert project.changes() == {}, "a second run of the same program changes nothing"


def test_the_program_is_told_that_a_preview_is_one(project: Project) -> None:
    _program(project, "import pulumi\nprint('dry' if pulumi.runtime.is_dry_run() else 'wet')\n")
    assert "dry" in project.preview().fine().text
    assert "wet" in project.up().fine().text


def test_an_exception_shows_the_users_frames_and_only_those(project: Project) -> None:
    _program(project, "def deep():\n    raise ValueError('what went wrong')\n\n\ndeep()\n")
    text = project.up().failed().text
    assert "ValueError: what went wrong" in text
    assert "in deep" in text
    assert "runpy" not in text
    assert "run_in_stack" not in text


def test_an_exception_inside_an_apply_fails_the_update(project: Project) -> None:
    _program(project, "import pulumi\npulumi.Output.from_input(1).apply(lambda _: 1 / 0)\n")
    assert "ZeroDivisionError" in project.up().failed().text


@pytest.mark.parametrize(
    ("raising", "message"),
    [
        (
            "from slipway.core.errors import UsageError\n"
            "raise UsageError('What.', why='Why.', fix='Fix it.')",
            "What. Why. Fix it.",
        ),
        ("import pulumi\nraise pulumi.RunError('Not like this.')", "Not like this."),
        ("import sys\nsys.exit('Enough.')", "Enough."),
    ],
)
def test_a_refusal_is_said_once_and_without_a_traceback(project: Project, raising: str, message: str) -> None:
    _program(project, raising + "\n")
    text = project.up().failed().text
    assert text.count(f"error: {message}") == 1
    assert text.count("error:") == 1, "the CLI adds nothing of its own"
    assert "Traceback" not in text


def test_an_exit_code_is_told(project: Project) -> None:
    _program(project, "import sys\nsys.exit(7)\n")
    assert "exit code 7" in project.up().failed().text


def test_a_program_that_is_killed_fails_the_update(project: Project) -> None:
    _program(project, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert "ended by signal 9" in project.up().failed().text


def test_a_folder_without_a_program_is_named(project: Project) -> None:
    (project.folder / "empty").mkdir()
    (project.folder / "Pulumi.yaml").write_text("name: test\nruntime: python\nmain: empty/\n")
    assert "There is no __main__.py in" in project.up().failed().text


def test_what_the_program_prints_and_warns_of_is_shown(project: Project) -> None:
    _program(project, "import warnings\nprint('to stdout')\nwarnings.warn('take care', stacklevel=1)\n")
    text = project.up().fine().text
    assert "to stdout" in text
    assert "UserWarning: take care" in text


def test_modules_beside_the_program_do_not_shadow_others(project: Project) -> None:
    (project.folder / "json.py").write_text("raise RuntimeError('shadowed')\n")
    _program(project, "import json, pulumi\npulumi.export('ok', json.dumps(1))\n")
    project.up().fine()


def test_secrets_are_no_arguments_and_no_environment(project: Project) -> None:
    project.run("config", "set", "-s", "test", "--secret", "hidden", "shibboleth").fine()
    process, pids = _sleeping(project)
    try:
        for pid in pids:
            for file in ("cmdline", "environ"):
                assert b"shibboleth" not in Path(f"/proc/{pid}/{file}").read_bytes()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_SECONDS)


def test_ctrl_c_stops_everything_and_shows_no_trace(project: Project) -> None:
    process, pids = _sleeping(project)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode != 0
    assert "Traceback" not in text
    assert "KeyboardInterrupt" not in text
    _wait_for_the_end_of(pids)


def test_a_killed_cli_leaves_no_process_behind(project: Project) -> None:
    process, pids = _sleeping(project)
    assert all(Path(f"/proc/{pid}").exists() for pid in pids), "the control: they were there"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE_SECONDS)
    _wait_for_the_end_of(pids)


def test_a_killed_host_takes_its_program_along(project: Project) -> None:
    process, pids = _sleeping(project)
    os.kill(pids[0], signal.SIGKILL)
    _wait_for_the_end_of(pids)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode != 0


def test_about_names_the_interpreter(project: Project) -> None:
    _program(project, "")
    text = project.run("about", "-s", "test").fine().text
    assert "embedded stand-in of Slipway" in text or "python" in text
