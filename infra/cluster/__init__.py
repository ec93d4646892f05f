"""Clusters: every kind of environment gives the same handle."""

from infra.cluster.handle import ClusterHandle
from infra.settings.models import LocalSettings, PlatformSettings


def connect(settings: PlatformSettings) -> ClusterHandle:
    """Return the cluster of the stack, declared where the environment makes one."""
    # Each kind is imported where it is chosen: a team's cluster needs nothing of the embedded one.
    if isinstance(settings, LocalSettings):
        from infra.cluster import embedded  # noqa: PLC0415

        return embedded.create(console=settings.store.console)
    from infra.cluster import existing  # noqa: PLC0415

    return existing.create(settings)
