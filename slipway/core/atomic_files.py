"""Files that are written whole or not at all, also when the process is killed or the power fails."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600
"""The mode of a file that its owner alone may read."""


def replace(path: Path, content: str | bytes, *, mode: int | None = None) -> None:
    """Put `content` in the place of the file, or make it; a reader sees the old file or the new one.

    Args:
        path: Its folder has to exist.
        content: Text is written as UTF-8, its line ends as they are.
        mode: Of the file, from its first moment; None is what the process's umask leaves of 0666.
    """
    with _draft(path, content, mode) as draft:
        draft.replace(path)
        sync(path.parent)


def create(path: Path, content: str | bytes, *, mode: int | None = None) -> bool:
    """Make the file unless it exists; of two processes at once, one makes it. Arguments as in `replace`.

    Returns:
        Whether this call made it.
    """
    with _draft(path, content, mode) as draft:
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return False
        sync(path.parent)
        return True


def sync(path: Path) -> None:
    """Return when the file's content, or the folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _draft(path: Path, content: str | bytes, mode: int | None) -> Iterator[Path]:
    """Write a file beside `path`, on the same file system; what is left of it is removed at the end."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(draft, flags, 0o666 if mode is None else mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if mode is not None:
                os.fchmod(descriptor, mode)  # whatever the umask is
            os.fsync(descriptor)
        yield draft
    finally:
        draft.unlink(missing_ok=True)
