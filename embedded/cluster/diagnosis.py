"""Why a component won't run: the line of its log that says so."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from embedded.cluster.places import Places
from slipway.core.errors import FailedError

_TELLING: Final = re.compile(
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
    """The last line that tells of an error, or the last line at all."""
    seen = [line.strip() for line in lines if line.strip()]
    telling = [line for line in seen if _TELLING.search(line)]
    return (telling or seen or ["(its log is empty)"])[-1][:_LONGEST]


def tail(path: Path) -> list[str]:
    """The last lines of a log."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL))
            return stream.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def failure(places: Places, process: str, what: str) -> FailedError:
    """The error that names a process, quotes its log and says where the rest is."""
    log = places.log(process)
    return FailedError(what, why=f"{process}: {useful_line(tail(log))}", fix=f"The rest is in {log}.")
