"""How long-running work reports progress, independent of a terminal."""

from collections.abc import Callable
from contextlib import AbstractContextManager

Report = Callable[[str], None]
"""Takes one short line of progress for the user, such as `building etcd v3.6.5`. Never a secret."""
Phases = Callable[[str], AbstractContextManager[Report]]
"""Opens a named phase of the work and returns the reporter for its progress."""


def silent(line: str) -> None:
    """Discard a line of progress: the default."""
