"""Reproducible tar archives of folders, which only depend on names, modes and contents."""

import os
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

MTIME: Final = 1577836800
"""Modification time of every file, 2020-01-01; zip archives can't represent times before 1980."""


def pack(root: Path, out: BinaryIO, *, modes: Mapping[str, int] | None = None) -> None:
    """Write everything below `root` to `out`: sorted, owned by root, independent of times and umask.

    `modes` are exact modes by relative path; otherwise folders and programs are 0755 and files 0644.
    """
    exact = modes or {}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _walk(root):
            name = path.relative_to(root).as_posix()
            info = _describe(path, name)
            info.mode = exact.get(name, info.mode)
            if info.isreg():
                with path.open("rb") as content:
                    archive.addfile(info, content)
            else:
                archive.addfile(info)


def _walk(root: Path) -> list[Path]:
    paths = [Path(folder, name) for folder, folders, files in os.walk(root) for name in (*folders, *files)]
    return sorted(paths, key=lambda path: path.relative_to(root).parts)


def _describe(path: Path, name: str) -> tarfile.TarInfo:
    status = path.lstat()
    info = tarfile.TarInfo(name)
    info.mtime = MTIME
    if stat.S_ISLNK(status.st_mode):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
    elif stat.S_ISDIR(status.st_mode):
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    else:
        info.size = status.st_size
        info.mode = 0o755 if status.st_mode & 0o111 else 0o644
    return info
