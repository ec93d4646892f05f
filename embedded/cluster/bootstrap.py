"""The objects that the cluster itself needs, applied at every start.

They are a StorageClass, the DNS Service and the roles of our own processes. The objects of the platform
belong to the Pulumi program (infra/).
"""

from typing import Any, Final

from embedded.cluster.api import Api, Object
from embedded.cluster.config import STORAGE_CLASS
from embedded.cluster.paths import DNS_PORT, ClusterPaths

PROVISIONER: Final = "slipway.dev/host-folder"
_RBAC: Final = "rbac.authorization.k8s.io"
_ROLES: Final[dict[str, list[dict[str, Any]]]] = {
    "coredns": [
        {
            "apiGroups": [""],
            "resources": ["services", "pods", "namespaces", "endpoints"],
            "verbs": ["list", "watch"],
        },
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ],
    "volumes": [
        {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["list", "watch"]},
        {
            "apiGroups": [""],
            "resources": ["persistentvolumes"],
            "verbs": ["list", "watch", "create", "delete", "patch"],
        },
        {"apiGroups": [""], "resources": ["persistentvolumeclaims/status"], "verbs": ["patch"]},
        {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["get"]},
    ],
    "forwards": [{"apiGroups": [""], "resources": ["services"], "verbs": ["get"]}],
}


def apply(api: Api, paths: ClusterPaths) -> bool:
    """Create or update every object; return whether all were applied."""
    return all(api.apply(manifest) for manifest in objects(paths))


def objects(paths: ClusterPaths) -> list[Object]:
    """All objects, in the order to apply."""
    grants = [item for name, rules in _ROLES.items() for item in _grant(name, rules)]
    kubelet_access = _binding("apiserver-kubelet", "system:kubelet-api-admin")
    return [*grants, kubelet_access, _storage_class(), *_dns(paths)]


def _grant(name: str, rules: list[dict[str, Any]]) -> list[Object]:
    role = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"slipway:{name}"},
        "rules": rules,
    }
    return [role, _binding(name, f"slipway:{name}")]


def _binding(user: str, role: str) -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"slipway:{user}"},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": f"slipway:{user}"}],
    }


def _storage_class() -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        # With one node there is no placement to wait for.
        "volumeBindingMode": "Immediate",
        "allowVolumeExpansion": True,
    }


def _dns(paths: ClusterPaths) -> list[Object]:
    """The Service and endpoints of CoreDNS, which is not a pod, so no controller creates its endpoints."""
    addresses = paths.instance.addresses
    ports = [
        {"name": "dns", "port": DNS_PORT, "protocol": "UDP"},
        {"name": "dns-tcp", "port": DNS_PORT, "protocol": "TCP"},
    ]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
        "spec": {"clusterIP": str(addresses.dns_service), "ports": ports},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {
                "kubernetes.io/service-name": "kube-dns",
                "endpointslice.kubernetes.io/managed-by": "slipway.dev",
            },
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [str(addresses.node)], "conditions": {"ready": True}}],
        "ports": ports,
    }
    return [service, endpoints]
