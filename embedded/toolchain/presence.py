"""What a preview requires of the cache: every tool must be there, because a preview builds nothing."""

from collections.abc import Iterable

from embedded.toolchain import build
from slipway.core.errors import UsageError


def require(names: Iterable[str] | None = None) -> None:
    """Refuse to continue unless these tools, or all of a platform, are there.

    Args:
        names: Binaries; None is all that a platform needs.

    Raises:
        UsageError: Something has to be built first.
    """
    missing = [tool.title for tool in build.to_build(names)]
    if missing:
        raise UsageError(
            f"Not built yet: {', '.join(missing)}.",
            why="A preview builds and generates nothing.",
            fix="Build it first: make tools (or: slipway doctor --fix)",
        )
