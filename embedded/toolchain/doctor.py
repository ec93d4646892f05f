"""What `slipway doctor` examines: what is there, what will be built and how long that took last time.

It reads and changes nothing: no build, no installation, no network.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from embedded.toolchain import cache, debian, golang, host, machine
from embedded.toolchain.build import entry_of
from embedded.toolchain.machine import Check
from embedded.toolchain.tools import TOOLS, Tool, chosen
from slipway.core.errors import UsageError

State = Literal["cached", "on machine", "to build"]


class ToolState(BaseModel):
    """The state of one tool."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: str
    version: str
    state: State
    binaries: dict[str, Path]
    """Where each binary is, or will be; empty while there is no Go to determine it with."""
    last_seconds: float | None
    """How long its last build took here, for any version; None if it never ran."""
    expected_seconds: int
    """How long it will take: 0 if it is there, else its last time, else what two cores took."""
    cached_bytes: int


class Examination(BaseModel):
    """The complete result."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cache: Path
    cache_bytes: int
    tools: list[ToolState]
    checks: list[Check]
    """Go, the Debian packages and the machine."""

    @property
    def ready(self) -> bool:
        """Whether `slipway up local` can start; what it builds or installs itself does not count."""
        return all(check.ok or check.fixed_by_up for check in self.checks)

    @property
    def missing(self) -> list[Check]:
        """What the user has to fix, and how."""
        return [check for check in self.checks if not check.ok]

    @property
    def expected_seconds(self) -> int:
        """How long all builds will take if run one after the other."""
        return sum(tool.expected_seconds for tool in self.tools)


def examine(*, tests: bool = False) -> Examination:
    """Examine the tools, the cache and the machine; with `tests` also what only the tests need."""
    go, go_check = _go()
    return Examination(
        cache=cache.root(),
        cache_bytes=cache.size(cache.root()) if cache.root().exists() else 0,
        tools=[_state(tool, go) for tool in TOOLS.values() if chosen(tool, tests=tests)],
        checks=[go_check, *_packages(tests=tests), *machine.checks()],
    )


def _go() -> tuple[golang.Go | None, Check]:
    try:
        go = golang.find(tuple(TOOLS.values()))
    except UsageError as error:
        return None, Check(name="Go", ok=False, detail=f"{error.what} {error.why}", fix=error.fix)
    return go, Check(name="Go", ok=True, detail=f"{go.version} at {go.command}")


def _state(tool: Tool, go: golang.Go | None) -> ToolState:
    on_machine = {binary.name: path for binary in tool.binaries if (path := host.find(binary.name))}
    entry = entry_of(tool, go) if go else None
    record = cache.load(entry) if entry else None
    last = cache.latest(cache.shelf("tools", tool.name))
    complete = len(on_machine) == len(tool.binaries)
    state: State = "on machine" if complete else "cached" if record else "to build"
    built = {binary.name: entry / binary.name for binary in tool.binaries} if entry else {}
    seconds = last.seconds if last else None
    return ToolState(
        tool=tool.name,
        version=tool.version,
        state=state,
        binaries=built | on_machine,
        last_seconds=seconds,
        expected_seconds=round(seconds or tool.seconds) if state == "to build" else 0,
        cached_bytes=sum(record.sizes.values()) if record else 0,
    )


def _packages(*, tests: bool) -> list[Check]:
    needed = debian.chosen(tests=tests)
    missing = debian.missing(needed)
    if not missing:
        return [Check(name="Debian packages", ok=True, detail=f"{', '.join(needed)} are there")]
    return [
        Check(
            name="Debian packages",
            ok=False,
            detail=f"{', '.join(missing)} are missing; as root, `slipway up local` installs them",
            fix=debian.command(missing),
            fixed_by_up=os.geteuid() == 0 and debian.which("apt-get") is not None,
        )
    ]
