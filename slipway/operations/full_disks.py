"""Disks that are full, among those that commands write to."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from embedded import session
from embedded.instance import DATA_ROOT

FULL_BELOW: Final = 64 << 20
"""Bytes that are free on a disk which counts as full: a write of more than what is left fails too."""


def full_disks() -> Iterator[tuple[Path, int]]:
    """Yield the folders that commands write to and whose disk is full, with the bytes that are free."""
    for folder in dict.fromkeys((Path.cwd(), Path(tempfile.gettempdir()), session.cache_dir(), DATA_ROOT)):
        existing = next(each for each in (folder, *folder.parents) if each.exists())
        free = shutil.disk_usage(existing).free
        if free < FULL_BELOW:
            yield folder, free
