"""What a CLI that was killed leaves in a file backend: its lock, and operations begun but not ended."""

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
"""Packages whose create takes over what an interrupted create has made."""

NOBODY: Final = 2**31 - 1
"""A process number above every kernel's limit."""

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
"""How Pulumi marks a value as special, and which mark says that it is a secret."""


@dataclass(frozen=True)
class Lock:
    """A file that says which process works on the stack."""

    path: Path
    pid: int
    host: str
    since: datetime | None

    def holder_lives(self) -> bool:
        """Return whether the process is still there; on another machine that can't be known."""
        if self.host != socket.gethostname():
            return True
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            return True
        # The number may belong to another process by now.
        return "pulumi" in _program(self.pid)


class FileBackend:
    """The folder behind a `file://` backend URL, for one stack."""

    def __init__(self, root: Path, project: str, stack: str) -> None:
        """Look at nothing yet."""
        self._books = root / ".pulumi"
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
        """Return whether the stack is there."""
        return self._checkpoint().is_file()

    def locks(self) -> Iterator[Lock]:
        """Yield what locks the stack."""
        folder = self._books / "locks" / "organization" / self._project / self._stack
        for path in sorted(folder.glob("*.json")):
            try:
                lock = read_lock(path)
            except FileNotFoundError:
                continue
            yield lock

    def clear_stale_locks(self) -> int:
        """Remove locks of processes that are gone; return how many.

        Raises:
            UsageError: a process that lives holds one.
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
        return cleared

    def export(self) -> dict[str, Any]:
        """Return the state as `pulumi stack export` prints it; running that takes a second and more.

        It is empty where there is no stack, or nothing was ever done with it.
        """
        try:
            document = json.loads(self._checkpoint().read_bytes())
        except FileNotFoundError:
            document = {"version": 3}
        latest = (document.get("checkpoint") or {}).get("latest") or {}
        return {"version": document["version"], "deployment": latest}

    def _checkpoint(self) -> Path:
        return self._books / "stacks" / self._project / f"{self._stack}.json"


def read_lock(path: Path) -> Lock:
    """Return the lock in a file; one that can't be read is nobody's."""
    try:
        content = json.loads(path.read_bytes())
        since = datetime.fromisoformat(content["timestamp"][:19])
        return Lock(path, int(content["pid"]), str(content["hostname"]), since)
    except (ValueError, KeyError, TypeError):
        # Cut short by a full disk or a power cut: its writer never got to work.
        return Lock(path, NOBODY, socket.gethostname(), None)


def pending(exported: Mapping[str, Any]) -> list[str]:
    """Return the types of an exported stack's resources whose operation was begun and never ended."""
    operations = exported["deployment"].get("pending_operations") or ()
    return [str(operation["resource"]["type"]) for operation in operations]


def outputs(exported: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs of an exported stack, those that are secret as Pulumi keeps them."""
    every = exported["deployment"].get("resources") or ()
    own = [dict(each.get("outputs") or {}) for each in every if each["type"] == "pulumi:pulumi:Stack"]
    return own[0] if own else {}


def without_pending(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Return an exported stack without its pending operations."""
    inner = {key: value for key, value in deployment["deployment"].items() if key != "pending_operations"}
    return {**deployment, "deployment": inner}


def plain_secrets(deployment: Mapping[str, Any]) -> list[str]:
    """Return the URNs of an exported stack's resources that hold a secret which is not encrypted."""
    resources = deployment["deployment"].get("resources") or ()
    return [str(each["urn"]) for each in resources if _holds_plain_secret(each)]


def _holds_plain_secret(value: object) -> bool:
    if isinstance(value, Mapping):
        if value.get(_SIGNATURE) == _SECRET and "ciphertext" not in value:
            return True
        return any(map(_holds_plain_secret, value.values()))
    return isinstance(value, list) and any(map(_holds_plain_secret, value))


def adoptable(types: list[str]) -> bool:
    """Return whether a new run converges although these operations were cut off."""
    return all(each.startswith(ADOPTING) for each in types)


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        # No /proc: take the process for what the lock says.
        return "pulumi"
