"""The parts of upstream that a platform has, in the cache before its program runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from embedded import toolchain
from infra.builder import Builder
from infra.upstream import installed, preparing
from slipway.core.report import Report, silent


def build(
    report: Report = silent,
    *,
    names: Sequence[str] = installed.NAMES,
    tests: bool = False,
    tools: Sequence[str] | None = None,
) -> None:
    """Build the tools of a platform and render its parts, as far as they are missing.

    Args:
        report: Receives what is built and rendered.
        names: The parts.
        tests: Also build the tools that only the tests need.
        tools: Binaries; None is all that a local platform needs.

    Raises:
        UsageError: Something is missing that only the user can install.
        FailedError: A package could not be installed, a tool not built, or a part not fetched or rendered.
    """
    parts = installed.locked(names)
    absent = [part for part, _ in preparing.missing(parts)]
    # All at once: the renderers are built beside the other tools.
    also = preparing.programs_for(absent)
    toolchain.ensure(None if tools is None else [*tools, *also], report, tests=tests, also=also)
    preparing.prepare(parts, BUILDER, report)


def render(report: Report = silent, *, names: Sequence[str] = installed.NAMES, build: bool = True) -> None:
    """Render the parts of a platform on a cluster of somebody else's, as far as they are missing.

    Args:
        report: Receives what is built and rendered.
        names: The parts.
        build: Whether to; otherwise missing parts are refused.

    Raises:
        UsageError: Something is missing, and may not or can't be built.
        FailedError: A part can't be fetched or rendered.
    """
    parts = installed.locked(names)
    if build:
        preparing.prepare(parts, BUILDER, report)
    else:
        preparing.require(parts)


def require(names: Sequence[str] = installed.NAMES, tools: Sequence[str] | None = None) -> None:
    """Refuse to continue unless everything that `build` makes is there; arguments as there.

    Raises:
        UsageError: Something has to be built or rendered first.
    """
    toolchain.require(tools)
    preparing.require(installed.locked(names))


def _program(name: str, report: Report) -> Path:
    return toolchain.binary(name, report)


BUILDER: Final = Builder(program=_program, go=toolchain.go_command)
