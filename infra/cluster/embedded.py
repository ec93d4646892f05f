"""The cluster of a bare machine: real Kubernetes, started on the spot, images built on the spot."""

from infra.cluster.handle import ClusterHandle


def create() -> ClusterHandle:
    """Declare the embedded cluster, its images and the provider that reaches it."""
    raise NotImplementedError
