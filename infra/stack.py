"""The pulumi command line, driven: one stack of one project in one environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.contract import PlatformOutputs


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

    @property
    def changed(self) -> bool:
        """Return whether anything was made, changed or deleted."""
        return any(count for operation, count in self.changes.items() if operation != "same")


class Stack:
    """One stack; every method runs the real command line in a child process."""

    def __init__(self, name: str, project: Path, env: Mapping[str, str]) -> None:
        """Remember which stack; nothing is run."""
        self.name = name
        self.project = project

    def exists(self) -> bool:
        """Return whether the backend knows the stack."""
        raise NotImplementedError

    def init(self) -> None:
        """Make the stack, its settings file and its secret, whichever of them is missing."""
        raise NotImplementedError

    def up(self) -> Summary:
        """Make the world what the program says."""
        raise NotImplementedError

    def preview(self) -> Summary:
        """Say what `up` would change."""
        raise NotImplementedError

    def refresh(self) -> Summary:
        """Bring the state in line with the world."""
        raise NotImplementedError

    def destroy(self) -> Summary:
        """Take away everything that the stack made; its settings and history stay."""
        raise NotImplementedError

    def outputs(self) -> PlatformOutputs:
        """Return what the stack says about the platform."""
        raise NotImplementedError
