"""Safely read files in a folder that steps can write.

A step can replace a file by a link at any time. Therefore paths are resolved by descriptors, links are not
followed, and only regular files are read.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NotPlainError(OSError):
    """A link, a device or a path outside the folder instead of a file or folder."""


@contextmanager
def opened(folder: Path, path: Path) -> Iterator[int]:
    """A descriptor of the file or folder at `path`, which is below `folder`.

    Raises:
        NotPlainError: The path is outside `folder`, or is neither a file nor a folder.
        OSError: It can't be opened; FileNotFoundError if it does not exist.
    """
    try:
        parts = PurePosixPath(path).relative_to(folder).parts
    except ValueError:
        raise NotPlainError(f"{path} is outside the step's folder") from None
    with (
        _closing(os.open(folder, _FLAGS | os.O_DIRECTORY)) as start,
        _closing(_descend(start, parts)) as descriptor,
    ):
        if not _is_plain(os.fstat(descriptor).st_mode):
            raise NotPlainError(f"{path} is neither a file nor a folder")
        yield descriptor


def files(descriptor: int) -> Iterator[tuple[PurePosixPath, BinaryIO]]:
    """The regular files below an open folder, sorted by path; each is open until the next is yielded.

    Links, devices and sockets are skipped.
    """
    names = []
    for folder, _, entries, below in os.fwalk(".", dir_fd=descriptor):
        for entry in entries:
            if stat.S_ISREG(os.stat(entry, dir_fd=below, follow_symlinks=False).st_mode):
                names.append(PurePosixPath(folder) / entry)
    for name in sorted(names):
        with _closing(_descend(descriptor, name.parts)) as opened_file:
            if stat.S_ISREG(os.fstat(opened_file).st_mode):
                with os.fdopen(opened_file, "rb", closefd=False) as file:
                    yield name, file


def is_folder(descriptor: int) -> bool:
    """Whether an open descriptor refers to a folder."""
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def read(folder: Path, path: Path, limit: int) -> bytes | None:
    """The content of a regular file below `folder`; None if it does not exist.

    Raises:
        NotPlainError: It is not a regular file.
        OSError: It has more than `limit` bytes, or can't be read.
    """
    try:
        with opened(folder, path) as descriptor:
            if is_folder(descriptor):
                raise NotPlainError(f"{path} is a folder")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(limit + 1)
    except FileNotFoundError:
        return None
    if len(data) > limit:
        raise OSError(f"{path.name} has more than {limit} bytes")
    return data


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _descend(start: int, parts: Iterable[str]) -> int:
    """Open the path `parts` below an open folder, which stays open."""
    current = os.dup(start)
    for part in parts:
        try:
            following = _entry(current, part)
        finally:
            os.close(current)
        current = following
    return current


def _entry(folder: int, name: str) -> int:
    if name == "..":
        raise NotPlainError("'..' in a path")
    try:
        return os.open(name, _FLAGS, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise NotPlainError(f"{name!r} is not a plain file or folder: {error.strerror}") from error


def _is_plain(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)
