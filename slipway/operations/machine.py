"""What the local environment needs on this machine."""

from embedded import toolchain
from embedded.toolchain import Examination
from slipway.core.report import Report, silent
from slipway.operations import upstream_parts


def prepare(report: Report = silent, *, tests: bool = False) -> None:
    """Install the packages and build the tools that are missing; with `tests`, those of the tests too.

    The parts of upstream are fetched and rendered too.

    Raises:
        UsageError: Something is missing that only the user can install.
        FailedError: A package could not be installed, a tool not built, or a part not rendered.
    """
    upstream_parts.build(report, tests=tests)


def examine(*, tests: bool = False) -> Examination:
    """Return what is installed, what would be built and what is missing."""
    return toolchain.examine(tests=tests)


__all__ = ["Examination", "examine", "prepare"]
