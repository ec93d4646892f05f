"""What `start` tells the supervisor, and what the supervisor tells everybody: two small files."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from embedded.cluster.components import Component
from slipway.core import atomic_files
from slipway.core.locks import try_lock


class Plan(BaseModel):
    """What the supervisor is to run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    instance: str
    digest: str
    """Of everything rendered: a supervisor with another digest is replaced by the next start."""
    components: tuple[Component, ...]


class Life(BaseModel):
    """One component as the supervisor sees it."""

    model_config = ConfigDict(extra="forbid")

    pid: int | None = None
    since: float | None = None
    """When it was last started, in seconds since the epoch."""
    restarts: int = 0
    last_exit: int | None = None
    """Exit code of the last end; negative is the signal's number."""


class Processes(BaseModel):
    """What the supervisor runs now."""

    model_config = ConfigDict(extra="forbid")

    pid: int
    since: float
    digest: str
    lives: dict[str, Life]


def write(path: Path, model: BaseModel) -> None:
    """Replace whole or not at all; owner only."""
    atomic_files.replace(path, model.model_dump_json(), mode=atomic_files.PRIVATE)


def read_processes(path: Path) -> Processes | None:
    """What the supervisor last wrote, whether it still lives or not."""
    try:
        return Processes.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def hold(path: Path) -> int | None:
    """Take the supervisor's lock for this process's life; None if another one holds it.

    A lock and not a pid: the kernel gives it back however the holder ends, and pids are reused.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if not try_lock(handle):
        os.close(handle)
        return None
    os.truncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    return handle


def holder(path: Path) -> int | None:
    """The pid of the living supervisor, or None."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return None if try_lock(handle, shared=True) else int(os.read(handle, 32) or b"0")
    finally:
        os.close(handle)
