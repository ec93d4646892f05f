"""What the local environment needs on this machine."""

from embedded import toolchain
from embedded.toolchain import Examination
from slipway.core.report import Report, silent


def prepare(report: Report = silent, *, tests: bool = False) -> None:
    """Install the packages and build the tools that are missing; with `tests`, those of the tests too.

    Raises:
        UsageError: Something is missing that only the user can install.
        FailedError: A package could not be installed, or a tool not built.
    """
    toolchain.ensure(report=report, tests=tests)
    toolchain.kserve_manifests(report)


def examine(*, tests: bool = False) -> Examination:
    """Return what is installed, what would be built and what is missing."""
    return toolchain.examine(tests=tests)


__all__ = ["Examination", "examine", "prepare"]
