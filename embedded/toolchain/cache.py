"""Where built tools are kept: by the digest of their inputs, whole or not at all.

    <root>/tools/<tool>/<digest>/<binary>     and record.json beside it
    <root>/tools/<tool>/.lock                 held by the process that builds the tool
    <root>/tools/<tool>/.building-*           a running build; the next one removes what a killed one left

An entry appears by one rename, so a reader sees all of it or nothing.
"""

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from embedded.toolchain.processes import Interrupted
from slipway.core import atomic_files, locks
from slipway.core.cache_folder import cache_folder
from slipway.core.report import Report, silent

_RECORD: Final = "record.json"
_STAGING: Final = ".building-"
_KEPT: Final = 2


class Record(BaseModel):
    """The record of an entry: enough to recognise a damaged one."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    subject: str
    seconds: float
    finished: float
    sizes: dict[str, int]


def root() -> Path:
    """The folder of everything that `make down` keeps."""
    return cache_folder()


def shelf(kind: str, name: str) -> Path:
    """The folder that holds every entry of one tool."""
    return root() / kind / name


def load(entry: Path) -> Record | None:
    """The record of an entry, or None when the entry is missing or not whole."""
    try:
        record = Record.model_validate_json((entry / _RECORD).read_bytes())
        whole = all((entry / name).stat().st_size == size for name, size in record.sizes.items())
    except (OSError, ValidationError):
        return None
    return record if whole else None


@contextlib.contextmanager
def locked(
    folder: Path, subject: str, report: Report = silent, cancel: threading.Event | None = None
) -> Iterator[None]:
    """Hold the folder's lock: of two clones that need the same tool, one builds and one waits.

    Raises:
        Interrupted: `cancel` was set while waiting.
    """

    def waits() -> None:
        report(f"{subject}: another process is making it; waiting")

    try:
        with locks.locked(folder / ".lock", on_wait=waits, cancelled=cancel.is_set if cancel else None):
            yield
    except locks.LockHeldError:
        raise Interrupted from None


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A new work folder beside the entries, removed at the end; call it with the lock held.

    It is on the same file system as the entries, which makes `publish` a rename.
    """
    for left in folder.glob(f"{_STAGING}*"):
        _remove(left)
    work = Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder))
    try:
        yield work
    finally:
        _remove(work)


def publish(folder: Path, entry: Path, *, subject: str, seconds: float) -> Record:
    """Make a finished folder an entry, in one step and safe against loss of power."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    record = Record(
        subject=subject,
        seconds=round(seconds, 1),
        finished=time.time(),
        sizes={path.relative_to(folder).as_posix(): path.stat().st_size for path in files},
    )
    (folder / _RECORD).write_text(record.model_dump_json(indent=1), encoding="utf-8")
    folder.chmod(0o755)
    for path in (*files, folder / _RECORD, *(path for path in folder.rglob("*") if path.is_dir()), folder):
        atomic_files.sync(path)
    if entry.exists():  # damaged, or `load` would have returned it
        entry.rename(folder.parent / "damaged")
    folder.rename(entry)
    atomic_files.sync(entry.parent)
    return record


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def latest(folder: Path) -> Record | None:
    """The newest record of a tool, whatever its digest: shows how long its last build took."""
    return max((record for _, record in _entries(folder)), key=lambda record: record.finished, default=None)


def _entries(folder: Path) -> list[tuple[Path, Record]]:
    entries = []
    for path in folder.glob(f"[!.]*/{_RECORD}"):
        with contextlib.suppress(OSError, ValidationError):
            entries.append((path.parent, Record.model_validate_json(path.read_bytes())))
    return entries


def size(folder: Path) -> int:
    """Bytes under a folder."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
    return total


def prune(kept: int = _KEPT) -> int:
    """Remove all but the newest entries of each tool.

    Processes that use a removed entry go on: a running program keeps its file.

    Returns:
        The bytes that were freed.
    """
    freed = 0
    for folder in (root() / "tools").glob("*/"):
        by_age = sorted(_entries(folder), key=lambda pair: pair[1].finished, reverse=True)
        for entry, _ in by_age[kept:]:
            freed += size(entry)
            # Renamed first: a partly removed entry must never have the name of an entry.
            gone = folder / f"{_STAGING}pruned-{entry.name}"
            entry.rename(gone)
            _remove(gone)
    return freed


def free_bytes() -> int:
    """Free bytes on the file system of the cache."""
    folder = root()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
