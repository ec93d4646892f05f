"""Finds full disks among those that commands write to."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from embedded import session
from embedded.instance import DATA_ROOT

FULL_BELOW: Final = 64 << 20
"""A disk with less free space in bytes counts as full: a large write fails although some space is left."""


def full_disks() -> Iterator[tuple[Path, int]]:
    """Yield the folders that commands write to and whose disk is full, with the free space in bytes."""
    for folder in dict.fromkeys((Path.cwd(), Path(tempfile.gettempdir()), session.cache_dir(), DATA_ROOT)):
        existing = next(each for each in (folder, *folder.parents) if each.exists())
        free = shutil.disk_usage(existing).free
        if free < FULL_BELOW:
            yield folder, free
