"""How long-running work tells its caller what it is doing, without knowing what a terminal is."""

from collections.abc import Callable

Report = Callable[[str], None]
"""Takes one short line for a person, such as `building etcd v3.6.5`. Never a secret."""


def silent(line: str) -> None:
    """Say nothing: the default where nobody watches."""
