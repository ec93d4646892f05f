"""What holds for every test: no live credentials, two workers, and in CI no skip that counts as a pass."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import settings
from support import distribution
from xdist.workermanage import WorkerController

workers: list[WorkerController] = []
CLEANED_UP_SECONDS = 600.0
"""How long an interrupted run waits until its workers have stopped what they started."""


def _interrupt_once(_number: int, _frame: object) -> None:
    """End the run, and let nothing interrupt the fixtures that stop servers and delete the platform."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


# A shell starts what runs in the background with SIGINT ignored, and children inherit that: the tests that
# press Ctrl-C would wait for ever. A worker of xdist is interrupted by the terminal and by the run as well.
if os.environ.get("PYTEST_XDIST_WORKER"):
    signal.signal(signal.SIGINT, _interrupt_once)
elif signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A deadline would assert a wall time: on a busy machine a correct test would fail.
settings.register_profile("slipway", deadline=None)
settings.load_profile("slipway")

LIVE = ("AWS_", "KUBECONFIG", "PULUMI_", "SLIPWAY_INSTANCE", "MINIO_")


@pytest.fixture(autouse=True, scope="session")
def no_live_credentials() -> Iterator[None]:
    """Take away what could make a test reach somebody's real store, cluster or stack."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(LIVE)}
    # Certificate settings of the machine are not credentials.
    kept.pop("AWS_CA_BUNDLE", None)
    for name in kept:
        del os.environ[name]
    # An Output in an f-string raises instead of writing an error sentence into a manifest.
    os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "true"
    yield
    del os.environ["PULUMI_ERROR_OUTPUT_STRING"]
    os.environ.update(kept)


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Let a test interrupt its own process; the process can be interrupted afterwards too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Fail a test that leaves SIGINT ignored: children inherit it, and later tests press Ctrl-C in vain."""
    yield
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN, "use the fixture `interrupts`"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items[:] = distribution.in_order(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> distribution.PartScheduling:
    """Give each worker whole files, and one of them everything that uses the local platform."""
    # Else the parts with the most tests would come first, which are the quickest.
    config.option.loadscopereorder = False
    return distribution.PartScheduling(config, log)


def pytest_testnodeready(node: WorkerController) -> None:
    """Remember a worker, so that an interrupted run can wait for it."""
    workers.append(node)


def pytest_keyboard_interrupt() -> None:
    """Wait until the workers have cleaned up: xdist kills them after ten seconds, and their servers stay."""
    for worker in workers:
        with suppress(ProcessLookupError):
            os.kill(worker.gateway._io.popen.pid, signal.SIGINT)
    for worker in workers:
        with suppress(worker.channel.TimeoutError, worker.channel.RemoteError, EOFError):
            worker.channel.waitclose(CLEANED_UP_SECONDS)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run in which a test was skipped: what can't run there is named as a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
