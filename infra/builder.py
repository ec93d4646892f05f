"""How the programs that fetch and render upstream's parts are found or built."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from slipway.core.report import Report


@dataclass(frozen=True)
class Builder:
    """Finds or builds them."""

    program: Callable[[str, Report], Path]
    """Takes `kustomize` or `helm`; raises UsageError if there is none and it can't be built."""

    go: Callable[[], Path | None]
    """Returns the Go command, if there is one."""
