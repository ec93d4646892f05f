"""What a killed CLI leaves in a file backend: its lock, and operations that were started but not finished."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from slipway.core.errors import UsageError

ADOPTING: Final = ("kubernetes:", "slipway:", "pulumi:")
"""Packages whose create takes over what an interrupted create has created."""

NOBODY: Final = 2**31 - 1
"""A process id above every kernel's limit."""

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
"""The key with which Pulumi marks a special value, and the mark of a secret."""


@dataclass(frozen=True)
class Lock:
    """A file that names the process that is working on the stack."""

    path: Path
    pid: int
    host: str
    since: datetime | None

    def holder_lives(self) -> bool:
        """Return whether the process still runs; True on another machine, where that can't be checked."""
        if self.host != socket.gethostname():
            return True
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            return True
        # The id may belong to another process by now.
        return "pulumi" in _program(self.pid)


class FileBackend:
    """The folder behind a `file://` backend URL, for one stack."""

    def __init__(self, root: Path, project: str, stack: str) -> None:
        """Read nothing yet."""
        self._root = root / ".pulumi"
        self._project = project
        self._stack = stack

    @classmethod
    def of(cls, url: str, project: str, stack: str) -> "FileBackend | None":
        """Return the backend of `url`, or None where it isn't a folder of this machine."""
        parts = urlsplit(url)
        if parts.scheme != "file":
            return None
        return cls(Path(unquote(parts.netloc + parts.path)).expanduser(), project, stack)

    def exists(self) -> bool:
        """Return whether the stack exists."""
        return self._checkpoint().is_file()

    def locks(self) -> Iterator[Lock]:
        """Yield the locks of the stack."""
        folder = self._root / "locks" / "organization" / self._project / self._stack
        for path in sorted(folder.glob("*.json")):
            try:
                lock = read_lock(path)
            except FileNotFoundError:
                continue
            yield lock

    def clear_stale_locks(self) -> int:
        """Remove locks of processes that have ended, and files that they had only begun.

        Returns:
            How many locks.

        Raises:
            UsageError: a running process holds one.
        """
        cleared = 0
        for lock in self.locks():
            if lock.holder_lives():
                since = f" since {lock.since:%Y-%m-%d %H:%M:%S}" if lock.since else ""
                raise UsageError(
                    f"Stack {self._stack} is being worked on.",
                    why=f"Process {lock.pid} on {lock.host} holds it{since}.",
                    fix=f"Wait for it to end, or stop it: kill -INT {lock.pid}",
                )
            lock.path.unlink(missing_ok=True)
            cleared += 1
        self._remove_empty_attributes()
        return cleared

    def _remove_empty_attributes(self) -> None:
        """Remove attributes that a killed CLI had created and not yet written.

        Each file of the backend has a second one, `NAME.attrs`, which gocloud.dev/blob/fileblob writes first
        and not atomically. An empty one makes every command fail with "EOF"; a missing one is accepted.
        """
        # Not the whole root: beside a backend in the home folder are plugins and templates.
        for folder in ("stacks", "history", "backups", "locks"):
            for path in (self._root / folder).rglob("*.attrs"):
                with contextlib.suppress(FileNotFoundError):  # of another stack, at work
                    if path.stat().st_size == 0:
                        path.unlink()

    def export(self) -> dict[str, Any]:
        """Return the state as `pulumi stack export` prints it; that command takes more than a second.

        It is empty where there is no stack, or no operation was ever run.
        """
        try:
            document = json.loads(self._checkpoint().read_bytes())
        except FileNotFoundError:
            document = {"version": 3}
        latest = (document.get("checkpoint") or {}).get("latest") or {}
        return {"version": document["version"], "deployment": latest}

    def _checkpoint(self) -> Path:
        return self._root / "stacks" / self._project / f"{self._stack}.json"


def read_lock(path: Path) -> Lock:
    """Return the lock in a file; one that can't be read has no holder."""
    try:
        content = json.loads(path.read_bytes())
        since = datetime.fromisoformat(content["timestamp"][:19])
        return Lock(path, int(content["pid"]), str(content["hostname"]), since)
    except (ValueError, KeyError, TypeError):
        # Truncated by a full disk or a power failure: its writer never started work.
        return Lock(path, NOBODY, socket.gethostname(), None)


def pending(exported: Mapping[str, Any]) -> list[str]:
    """Return the types of an exported stack's resources whose operation was started and never finished."""
    operations = exported["deployment"].get("pending_operations") or ()
    return [str(operation["resource"]["type"]) for operation in operations]


def without_pending(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Return an exported stack without its pending operations."""
    inner = {key: value for key, value in deployment["deployment"].items() if key != "pending_operations"}
    return {**deployment, "deployment": inner}


def plain_secrets(deployment: Mapping[str, Any]) -> list[str]:
    """Return the URNs of an exported stack's resources that contain an unencrypted secret."""
    resources = deployment["deployment"].get("resources") or ()
    return [str(each["urn"]) for each in resources if _holds_plain_secret(each)]


def _holds_plain_secret(value: object) -> bool:
    if isinstance(value, Mapping):
        if value.get(_SIGNATURE) == _SECRET and "ciphertext" not in value:
            return True
        return any(map(_holds_plain_secret, value.values()))
    return isinstance(value, list) and any(map(_holds_plain_secret, value))


def adoptable(types: list[str]) -> bool:
    """Return whether a new run converges although these operations were interrupted."""
    return all(each.startswith(ADOPTING) for each in types)


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        # No /proc: trust the lock.
        return "pulumi"
