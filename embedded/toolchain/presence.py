"""What a preview requires of the cache: everything must be there, because a preview builds nothing."""

from pathlib import Path

from embedded.toolchain import build, kserve
from slipway.core.errors import UsageError


def require() -> None:
    """Refuse to continue unless every tool of a platform and KServe's manifests are there.

    Raises:
        UsageError: Something has to be built or generated first.
    """
    missing = [tool.title for tool in build.to_build()]
    if missing:
        raise _refusal(missing)
    built_kserve_manifests()


def built_kserve_manifests() -> Path:
    """Return the folder of KServe's manifests, which must have been generated.

    Raises:
        UsageError: They have not been.
    """
    manifests = kserve.generated_kserve_manifests()
    if manifests is None:
        raise _refusal([kserve.title()])
    return manifests


def _refusal(missing: list[str]) -> UsageError:
    return UsageError(
        f"Not built yet: {', '.join(missing)}.",
        why="A preview builds and generates nothing.",
        fix="Build it first: make tools (or: slipway doctor --fix)",
    )
