"""How long-running work tells its caller what it is doing, without knowing what a terminal is."""

from collections.abc import Callable
from contextlib import AbstractContextManager

Report = Callable[[str], None]
"""Takes one short line for a person, such as `building etcd v3.6.5`. Never a secret."""
Phases = Callable[[str], AbstractContextManager[Report]]
"""Opens a named phase of the work and gives the report for what happens in it."""


def silent(line: str) -> None:
    """Say nothing: the default where nobody watches."""
