"""The embedded Kubernetes of this checkout."""

from collections.abc import Iterator
from pathlib import Path

from embedded import cluster, session
from embedded.cluster import ClusterStatus
from embedded.instance import Instance
from infra.names import settings_file
from slipway.core.report import Report, silent
from slipway.operations import workspace


def name() -> str:
    """Return the name of this checkout's instance."""
    return workspace.instance().name


def start(report: Report = silent) -> ClusterStatus:
    """Start the cluster with its existing data; raises as `embedded.cluster.start`."""
    cluster.start(workspace.instance(), report=report)
    return status()


def stop(report: Report = silent) -> None:
    """Stop the cluster; its data stays."""
    cluster.stop(workspace.instance(), report=report)


def status() -> ClusterStatus:
    """Return the cluster's processes, memory and addresses."""
    return cluster.status(workspace.instance())


def log(process: str, *, lines: int, follow: bool) -> Iterator[str]:
    """Yield the last lines of the log of one of the cluster's processes; with `follow`, new ones too.

    Raises:
        UsageError: There is no such process.
    """
    path = cluster.logs(workspace.instance(), process)[process]
    if follow:
        yield from cluster.follow(path, lines=lines)
    else:
        yield from path.read_text(errors="replace").splitlines()[-lines:]


def delete(report: Report = silent) -> Path:
    """Delete the cluster, its data and the local stack's state; return the tool cache, which is kept."""
    remove(workspace.instance(), report)
    (workspace.project() / settings_file("local")).unlink(missing_ok=True)
    return session.cache_dir()


def remove(instance: Instance, report: Report) -> None:
    """Delete an instance: its cluster with the data, then the state and the plugins of its stack."""
    cluster.delete(instance, report=report)
    session.remove(instance)


__all__ = ["ClusterStatus", "delete", "log", "name", "remove", "start", "status", "stop"]
