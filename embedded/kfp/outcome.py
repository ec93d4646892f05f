"""What goes in and out of tasks, and how they end. Pure."""

import json
from dataclasses import dataclass, field
from typing import Any, Final

SUCCEEDED: Final = "SUCCEEDED"
FAILED: Final = "FAILED"
SKIPPED: Final = "SKIPPED"

Artifact = dict[str, Any]
"""`name`, `type`, `uri`, `metadata`; `digest` or `identity` where the content is known; `empty` where there
is none."""


class TaskError(Exception):
    """The task failed; the message is for the person who reads the run."""


@dataclass(frozen=True, slots=True)
class Values:
    """Parameters and artifacts that go into a component, or come out of it."""

    parameters: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """For the database."""
        return json.dumps({"parameters": self.parameters, "artifacts": self.artifacts})

    @classmethod
    def from_json(cls, text: str) -> "Values":
        """What `as_json` wrote."""
        body = json.loads(text)
        return cls(body["parameters"], body["artifacts"])


@dataclass(frozen=True, slots=True)
class Ended:
    """How a task ended."""

    state: str
    outputs: Values = field(default_factory=Values)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """A DAG that is running: its inputs, its place among the tasks, how its tasks ended so far."""

    inputs: Values
    path: str
    parent_id: str | None
    ended: dict[str, Ended] = field(default_factory=dict)
