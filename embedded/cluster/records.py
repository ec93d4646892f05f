"""What `start` tells the supervisor, and what the supervisor tells everybody: two small files."""

import fcntl
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from embedded.cluster.components import Component


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
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(model.model_dump_json())
    draft.replace(path)


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
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
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
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.read(handle, 32) or b"0")
    else:
        return None
    finally:
        os.close(handle)
