"""A single-node Kubernetes cluster for a bare machine, in its own namespaces.

etcd, API server, controller-manager, scheduler, kubelet, kube-proxy, CoreDNS and containerd run as
supervised processes. Outside its namespaces the cluster has one network link, one route and one cgroup.

The names below are imported lazily: the supervisor and the long-running Python processes are modules of
this package too, and should not load what only `start` needs.
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

_MODULES = {"forwards": {"Forward"}, "lifecycle": {"delete", "set_forwards", "start", "stop"}}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = next((module for module, names in _MODULES.items() if name in names), "state")
    return getattr(import_module(f"{__name__}.{module}"), name)
