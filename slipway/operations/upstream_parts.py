"""The parts of upstream that a platform has, in the cache before its program runs."""

from pathlib import Path
from typing import Final

from embedded import toolchain
from infra.builder import Builder
from infra.upstream import installed, preparing
from slipway.core.report import Report, silent


def build(report: Report = silent, *, tests: bool = False) -> None:
    """Build every tool of a local platform and render its parts, as far as they are missing.

    Args:
        report: Receives what is built and rendered.
        tests: Also build the tools that only the tests need.

    Raises:
        UsageError: Something is missing that only the user can install.
        FailedError: A package could not be installed, a tool not built, or a part not fetched or rendered.
    """
    parts = installed.locked()
    absent = [part for part, _ in preparing.missing(parts)]
    # All at once: the renderers are built beside the other tools.
    toolchain.ensure(report=report, tests=tests, also=preparing.programs_for(absent))
    preparing.prepare(parts, BUILDER, report)


def require() -> None:
    """Refuse to continue unless everything that `build` makes is there.

    Raises:
        UsageError: Something has to be built or rendered first.
    """
    toolchain.require()
    preparing.require(installed.locked())


def _program(name: str, report: Report) -> Path:
    return toolchain.binary(name, report)


BUILDER: Final = Builder(program=_program, go=toolchain.go_command)
