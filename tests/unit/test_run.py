"""How the tests are run: a skip fails CI, two workers share the parts, the long ones begin."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from support import distribution

TESTS = Path(__file__).parents[1]
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""The plugins of the other tests take longer to load than these tests take to run."""
PASSES = "def test_passes(): pass\n"
SKIPS = f"import pytest\n{PASSES}@pytest.mark.skip(reason='no server')\ndef test_skips(): pass\n"


def command(folder: Path, *arguments: str) -> list[str]:
    """Return what runs the tests of a folder under the conftest of all tests."""
    plugins = ("-p", "xdist.plugin", "-p", "conftest", "-p", "no:cacheprovider")
    options = ("-q", "-c", "/dev/null", "--rootdir", str(folder))
    return [sys.executable, "-m", "pytest", *options, *plugins, *arguments, str(folder)]


def environment(*, ci: bool) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CI"))}
    return {**kept, **ALONE, "PYTHONPATH": str(TESTS), **({"CI": "true"} if ci else {})}


def run(folder: Path, content: str, *arguments: str, ci: bool) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(content)
    return subprocess.run(
        command(folder, *arguments), env=environment(ci=ci), cwd=folder,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_skip_fails_a_ci_run(tmp_path, workers):
    failed = run(tmp_path, SKIPS, "-n", workers, ci=True)
    assert "1 passed, 1 skipped" in failed.stdout
    assert failed.returncode == pytest.ExitCode.TESTS_FAILED, failed.stdout


@pytest.mark.parametrize(
    ("content", "ci"), [(SKIPS, False), (PASSES, True)], ids=["skip elsewhere", "no skip in CI"]
)
def test_no_other_run_fails_for_it(tmp_path, content, ci):
    """The control, with two workers: a skip on a developer's machine, and a CI run without one."""
    done = run(tmp_path, content, "-n", "2", ci=ci)
    assert done.returncode == pytest.ExitCode.OK, done.stdout + done.stderr


STARTS = """
import pathlib, pytest, time

@pytest.fixture(scope="session")
def server(worker_id):
    server = pathlib.Path(worker_id)
    server.touch()
    yield
    time.sleep(1)
    server.unlink()

def test_uses(server):
    time.sleep(300)
"""


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["from outside", "from a terminal"])
def test_an_interrupted_run_cleans_up(tmp_path, send):
    files = [tmp_path / f"test_{number}.py" for number in range(2)]
    for file in files:
        file.write_text(STARTS)
    servers = [tmp_path / "gw0", tmp_path / "gw1"]
    process = subprocess.Popen(
        command(tmp_path, "-n", "2"), env=environment(ci=True), cwd=tmp_path, process_group=0,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        while not all(server.exists() for server in servers):
            assert process.poll() is None
            time.sleep(0.05)
        send(process.pid, signal.SIGINT)
        text, _ = process.communicate(timeout=120)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == pytest.ExitCode.INTERRUPTED, text
    assert [server for server in servers if server.exists()] == []


@pytest.mark.parametrize(
    ("nodeid", "part"),
    [
        ("tests/e2e/test_gate.py::test_x", "tests/e2e"),
        ("tests/e2e/test_foreign_cluster.py::test_x", "tests/e2e/test_foreign_cluster.py"),
        ("tests/e2e/test_store.py::test_y[a::b]", "tests/e2e"),
        ("tests/contract/backup/test_backup_damage.py::test_x", "tests/contract/backup"),
        ("tests/contract/test_gateway.py::test_x[a::b]", "tests/contract/test_gateway.py"),
    ],
)
def test_one_worker_runs_what_shares_a_platform(nodeid, part):
    assert distribution.part(nodeid) == part


def test_the_long_parts_begin():
    names = [
        "tests/unit/test_run.py::test_x",
        "tests/contract/test_images.py::test_x",
        "tests/e2e/test_gate.py::test_x",
    ]
    assert sorted(names, key=distribution.place) == names[::-1]


@pytest.mark.parametrize("prefix", distribution.LONGEST_FIRST)
def test_every_part_that_is_ordered_exists(prefix):
    assert (TESTS.parent / prefix).exists()
