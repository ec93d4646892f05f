"""A real Kubernetes of one node for a bare machine, in namespaces of its own.

etcd, API server, controller-manager, scheduler, kubelet, kube-proxy, CoreDNS and containerd run as
supervised processes; nothing of the machine but one link, one route and one cgroup shows them.
"""

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
