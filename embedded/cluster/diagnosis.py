"""Find the line in a component's log that explains why it failed."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from embedded.cluster.paths import ClusterPaths
from slipway.core.errors import FailedError

_ERROR_LINE: Final = re.compile(
    r"""^[EF]\d{4}\s                                   # klog: error, fatal
      | "level":"(error|fatal|panic)"                  # zap
      | \blevel=(error|fatal)\b                        # logrus
      | ^(panic|fatal|Error)\b | \b(error|failed|cannot|refused|denied)\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TAIL: Final = 64 * 1024
_LONGEST: Final = 300


def useful_line(lines: Iterable[str]) -> str:
    """The last line that reports an error, otherwise the last line."""
    non_empty = [line.strip() for line in lines if line.strip()]
    errors = [line for line in non_empty if _ERROR_LINE.search(line)]
    return (errors or non_empty or ["(its log is empty)"])[-1][:_LONGEST]


def tail(path: Path) -> list[str]:
    """The last lines of a log."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL))
            return stream.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def failure(paths: ClusterPaths, process: str, what: str) -> FailedError:
    """An error that names a process and quotes its log."""
    log = paths.log(process)
    return FailedError(what, why=f"{process}: {useful_line(tail(log))}", fix=f"See the full log in {log}.")
