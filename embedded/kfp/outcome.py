"""Inputs, outputs and results of tasks. Pure."""

import json
from dataclasses import dataclass, field
from typing import Any, Final

SUCCEEDED: Final = "SUCCEEDED"
FAILED: Final = "FAILED"
SKIPPED: Final = "SKIPPED"

Artifact = dict[str, Any]
"""`name`, `type`, `uri`, `metadata`; `digest` or `identity` if the content is known; `empty` if none."""


class TaskError(Exception):
    """The task failed; the message is shown to the user of the run."""


@dataclass(frozen=True, slots=True)
class Values:
    """Input or output parameters and artifacts of a component."""

    parameters: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """Serialise for the database."""
        return json.dumps({"parameters": self.parameters, "artifacts": self.artifacts})

    @classmethod
    def from_json(cls, text: str) -> "Values":
        """Parse the output of `as_json`."""
        body = json.loads(text)
        return cls(body["parameters"], body["artifacts"])


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The final state, outputs and error of a task."""

    state: str
    outputs: Values = field(default_factory=Values)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """A running DAG: its inputs, its path among the tasks, and the results of its tasks so far."""

    inputs: Values
    path: str
    parent_id: str | None
    results: dict[str, TaskResult] = field(default_factory=dict)
