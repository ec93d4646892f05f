"""Atomic writes: a file is written whole or not at all, even if the process is killed or the power fails."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600
"""Mode of a file that only its owner may read."""


def replace(path: Path, content: str | bytes, *, mode: int | None = None) -> None:
    """Create the file or replace its content; a reader sees the old file or the new one.

    Args:
        path: The file; its folder must exist.
        content: Text is written as UTF-8, with unchanged line ends.
        mode: Mode of the file from its creation; None means 0666 less the process's umask.
    """
    with _draft(path, content, mode) as draft:
        draft.replace(path)
        sync(path.parent)


def create(path: Path, content: str | bytes, *, mode: int | None = None) -> bool:
    """Create the file unless it exists; only one of several processes does. Arguments as in `replace`.

    Returns:
        Whether this call created it.
    """
    with _draft(path, content, mode) as draft:
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return False
        sync(path.parent)
        return True


def sync(path: Path) -> None:
    """Flush the file's content, or the folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _draft(path: Path, content: str | bytes, mode: int | None) -> Iterator[Path]:
    """Write a temporary file beside `path`, on the same file system; it is removed at the end."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(draft, flags, 0o666 if mode is None else mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if mode is not None:
                os.fchmod(descriptor, mode)  # regardless of the umask
            os.fsync(descriptor)
        yield draft
    finally:
        draft.unlink(missing_ok=True)
