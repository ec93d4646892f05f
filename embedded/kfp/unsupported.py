"""The refusal of a pipeline at upload. Pure."""

import re


class UnsupportedError(ValueError):
    """The pipeline is not valid, or uses an unsupported feature."""


def check_name(kind: str, name: str, pattern: re.Pattern[str]) -> None:
    """Raise UnsupportedError if a name of a kind of object, such as `task`, does not match the pattern."""
    # Names become object keys and folders, so they must not contain path components.
    if not pattern.fullmatch(name):
        raise UnsupportedError(f"invalid name {name[:80]!r} for {kind}")
