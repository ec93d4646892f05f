"""Two files: the plan that `start` writes, and the state that the supervisor writes."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from embedded.cluster.components import Component
from slipway.core import atomic_files
from slipway.core.locks import try_lock


class Plan(BaseModel):
    """The components that the supervisor has to run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    instance: str
    digest: str
    """Digest of all rendered files: the next start replaces a supervisor with a different digest."""
    components: tuple[Component, ...]


class ComponentState(BaseModel):
    """The state of a component."""

    model_config = ConfigDict(extra="forbid")

    pid: int | None = None
    since: float | None = None
    """Last start, in seconds since the epoch."""
    restarts: int = 0
    last_exit: int | None = None
    """Exit code of the last process, or the negative number of a signal."""


class Processes(BaseModel):
    """The state of the supervisor and its components."""

    model_config = ConfigDict(extra="forbid")

    pid: int
    since: float
    digest: str
    lives: dict[str, ComponentState]


def write(path: Path, model: BaseModel) -> None:
    """Replace the file atomically, readable by its owner only."""
    atomic_files.replace(path, model.model_dump_json(), mode=atomic_files.PRIVATE)


def read_processes(path: Path) -> Processes | None:
    """The last state that the supervisor wrote, even if it has ended."""
    try:
        return Processes.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def acquire_lock(path: Path) -> int | None:
    """Acquire the supervisor's lock until this process ends; None if another process holds it.

    A lock instead of a pid: the kernel always releases it when the process ends, and pids are reused.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if not try_lock(handle):
        os.close(handle)
        return None
    os.truncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    return handle


def supervisor_pid(path: Path) -> int | None:
    """The pid of the running supervisor, or None."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return None if try_lock(handle, shared=True) else int(os.read(handle, 32) or b"0")
    finally:
        os.close(handle)
