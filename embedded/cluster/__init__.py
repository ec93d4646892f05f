"""A real Kubernetes of one node for a bare machine, in namespaces of its own.

etcd, API server, controller-manager, scheduler, kubelet, kube-proxy, CoreDNS and containerd run as
supervised processes; nothing of the machine but one link, one route and one cgroup shows them.

The names below are loaded when first used: the supervisor and its Python processes are modules of
this package too, live as long as the cluster, and should not hold in memory what only `start` needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embedded.cluster.forwards import Forward
    from embedded.cluster.lifecycle import delete, set_forwards, start, stop
    from embedded.cluster.state import ClusterStatus, ProcessStatus, follow, logs, status

__all__ = [
    "ClusterStatus",
    "Forward",
    "ProcessStatus",
    "delete",
    "follow",
    "logs",
    "set_forwards",
    "start",
    "status",
    "stop",
]

_HOMES = {"forwards": {"Forward"}, "lifecycle": {"delete", "set_forwards", "start", "stop"}}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = next((module for module, names in _HOMES.items() if name in names), "state")
    return getattr(import_module(f"{__name__}.{home}"), name)
