"""A folder as a tar archive that depends on nothing but names, modes and contents."""

import os
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

MTIME: Final = 1577836800
"""Every file's time, 2020-01-01: old enough to be stable, new enough for a zip archive."""


def pack(root: Path, out: BinaryIO, *, modes: Mapping[str, int] | None = None) -> None:
    """Write everything under `root` to `out`: sorted, owned by root, without times or umask.

    `modes` gives exact modes by relative path; otherwise a folder or program is 0755 and a file 0644.
    """
    wanted = modes or {}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _walk(root):
            name = path.relative_to(root).as_posix()
            info = _describe(path, name)
            info.mode = wanted.get(name, info.mode)
            if info.isreg():
                with path.open("rb") as content:
                    archive.addfile(info, content)
            else:
                archive.addfile(info)


def _walk(root: Path) -> list[Path]:
    found = [Path(folder, name) for folder, folders, files in os.walk(root) for name in (*folders, *files)]
    return sorted(found, key=lambda path: path.relative_to(root).parts)


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
