"""Clusters: every kind of environment returns the same handle."""

from pathlib import Path
from typing import Final

from infra.cluster.handle import ClusterHandle
from infra.cluster.registry_login import RegistryLogin
from infra.names import settings_file
from infra.settings.config import Configuration
from infra.settings.models import KindSettings, LocalSettings

_PROJECT: Final = Path(__file__).resolve().parents[2]


def connect(configuration: Configuration) -> ClusterHandle:
    """Return the stack's cluster; declares one where the environment creates it."""
    settings = configuration.platform
    login = RegistryLogin(docker_config=configuration.registry_login)
    # Imported where it is used: a stack on a team's cluster must not need the embedded one.
    if isinstance(settings, LocalSettings):
        from infra.cluster import embedded  # noqa: PLC0415

        return embedded.create(console=settings.store.console, katib=settings.katib.enabled)
    if isinstance(settings, KindSettings):
        from infra.cluster.kind import create  # noqa: PLC0415

        return create.create(settings, login, _PROJECT / settings_file(configuration.stack))
    from infra.cluster import existing  # noqa: PLC0415

    return existing.create(settings, login)
