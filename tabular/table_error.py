"""The error for a table that can't be used: it names the file, the reason and the fix."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from slipway.core.errors import UsageError

NAMED: Final = 5
"""How many columns, classes or values a message names."""
SHOWN: Final = 40
"""How many characters of a cell a message shows."""


class TableError(UsageError):
    """A file can't be used as a table; nothing was changed."""

    def __init__(self, path: Path, why: str, fix: str = "") -> None:
        """Name the file, the reason and the fix."""
        super().__init__(f"{path} can't be used.", why=why, fix=fix)
        self.path = path


def some(names: Sequence[str]) -> str:
    """The first few of the names, quoted, and how many more there are."""
    listed = ", ".join(shown(name) for name in names[:NAMED])
    return listed + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def shown(text: str) -> str:
    """A cell or a name for a message: quoted, in one line, truncated if it is long."""
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 3] + "...")
