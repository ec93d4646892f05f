"""What holds for every test: no live credentials, and in CI no skip that counts as a pass."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A shell starts what runs in the background with SIGINT ignored, and children inherit that: the tests that
# press Ctrl-C would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run in which a test was skipped: what can't run there is named as a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
