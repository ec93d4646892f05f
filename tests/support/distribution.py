"""How a run is divided between two workers, and in which order its parts begin.

One part is given to one worker as a whole: a file, or a folder whose tests share what a worker makes once.
"""

from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadScopeScheduling

ALONE = ("tests/e2e/test_kind.py",)
"""Files in such a folder that share nothing with the rest of it."""
SHARED = ("tests/e2e", "tests/contract/backup")
"""Folders whose tests share a platform or a store: one worker runs them all."""
ALONE = ("tests/e2e/test_foreign_cluster.py",)
"""Files in these folders that have a platform of their own."""
LONGEST_FIRST = (
    "tests/e2e",
    "tests/contract",
    "tests/unit",
)
"""The run ends when its last part does, so the long parts begin first; the first worker has the platform."""


def part(nodeid: str) -> str:
    """Return the part of the run that a test belongs to."""
    file = nodeid.partition("::")[0]
    if file in ALONE:
        return file
    return next((folder for folder in SHARED if file.startswith(f"{folder}/")), file)


def place(nodeid: str) -> int:
    """Return where the part of a test stands in the order of parts."""
    name = part(nodeid)
    return next((place for place, prefix in enumerate(LONGEST_FIRST) if name.startswith(prefix)), 0)


class PartScheduling(LoadScopeScheduling):
    """Hands out whole parts, in the order of the tests."""

    def _split_scope(self, nodeid: str) -> str:
        return part(nodeid)


def in_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests with the long parts first, otherwise in the order in which they were found."""
    return sorted(items, key=lambda item: place(item.nodeid))
