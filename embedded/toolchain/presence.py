"""What a preview requires of the cache: every tool must be there, because a preview builds nothing."""

from embedded.toolchain import build
from slipway.core.errors import UsageError


def require() -> None:
    """Refuse to continue unless every tool of a platform is there.

    Raises:
        UsageError: Something has to be built first.
    """
    missing = [tool.title for tool in build.to_build()]
    if missing:
        raise UsageError(
            f"Not built yet: {', '.join(missing)}.",
            why="A preview builds and generates nothing.",
            fix="Build it first: make tools (or: slipway doctor --fix)",
        )
