"""Reads Pulumi's event log, which the engine writes while it works, into a summary."""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_COLOUR: Final = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")
_COUNT: Final = re.compile(r"^1 error occurred:\s+\* ")
_EMPTY: Final = re.compile(
    r"(update|preview|destroy|refresh) (failed|canceled)|resource .*(failed|errors?)\.?$"
)
"""Messages that only refer to an earlier message."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long one resource took."""

    urn: str
    operation: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What one `up`, `preview`, `refresh` or `destroy` did."""

    changes: Mapping[str, int]
    """Count per operation, as Pulumi names them: create, update, replace, delete, same."""

    seconds: float
    timings: tuple[Timing, ...] = ()
    """Durations of the resources that were changed, the longest first."""

    @property
    def changed(self) -> bool:
        """Return whether anything was created, changed or deleted."""
        return any(count for operation, count in self.changes.items() if operation != "same")


@dataclass
class EventLog:
    """The event log of one operation. `poll` it while the operation runs: it measures the times itself."""

    path: Path
    clock: Callable[[], float] = time.monotonic
    changes: dict[str, int] = field(default_factory=dict)
    errors: list[tuple[str, str]] = field(default_factory=list)
    """URN (or an empty string) and message of each error."""

    _begun: dict[str, float] = field(default_factory=dict)
    _timings: list[Timing] = field(default_factory=list)
    _read: int = 0
    _rest: bytes = b""

    def poll(self) -> None:
        """Read what was written since the last call."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except FileNotFoundError:
            return
        self._read += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def summary(self, seconds: float) -> Summary:
        """Return the summary of the events so far."""
        longest_first = sorted(self._timings, key=lambda timing: -timing.seconds)
        return Summary(changes=dict(self.changes), seconds=seconds, timings=tuple(longest_first))

    def first_error(self) -> str:
        """Return the first meaningful error, preceded by its resource."""
        meaningful = [each for each in self.errors if not _EMPTY.match(each[1])] or self.errors
        if not meaningful:
            return ""
        urn, message = meaningful[0]
        name = urn.rpartition("::")[2]
        message = _COUNT.sub("", message)
        return f"{name}: {message}" if name else message

    def _take(self, event: Mapping[str, Any]) -> None:
        if "diagnosticEvent" in event:
            diagnostic = event["diagnosticEvent"]
            if diagnostic.get("severity") == "error":
                self.errors.append((diagnostic.get("urn", ""), plain(diagnostic["message"]).strip()))
        elif "resourcePreEvent" in event:
            self._begun[event["resourcePreEvent"]["metadata"]["urn"]] = self.clock()
        elif "resOutputsEvent" in event or "resOpFailedEvent" in event:
            done = event.get("resOutputsEvent") or event["resOpFailedEvent"]
            self._finish(done["metadata"])
        elif "summaryEvent" in event:
            self.changes = dict(event["summaryEvent"]["resourceChanges"] or {})

    def _finish(self, metadata: Mapping[str, Any]) -> None:
        began = self._begun.pop(metadata["urn"], None)
        if began is not None and metadata["op"] != "same":
            took = round(self.clock() - began, 2)
            self._timings.append(Timing(urn=metadata["urn"], operation=metadata["op"], seconds=took))


def plain(text: str) -> str:
    """Return `text` without colours, neither a terminal's nor the engine's own."""
    return _COLOUR.sub("", text)
