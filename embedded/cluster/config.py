"""Render the components' configuration files as text; tests read it without a cluster.

Each setting that is not a default has a comment with its reason; most are based on measurements.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from embedded.cluster.paths import API_PORT, CNI_PLUGINS, DNS_PORT, ClusterPaths

DOMAIN: Final = "cluster.local"
STORAGE_CLASS: Final = "standard"


def containerd(paths: ClusterPaths, sandbox_image: str) -> str:
    """Containerd's `config.toml`."""
    instance = paths.instance
    quote = json.dumps
    return f"""\
version = 2
root = {quote(str(instance.data / "containerd"))}
state = {quote(str(instance.run / "containerd"))}
# Unused plugins; each would probe the machine at start.
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  address = {quote(str(instance.containerd_socket))}
[plugins."io.containerd.internal.v1.opt"]
  path = {quote(str(instance.data / "containerd" / "opt"))}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {quote(sandbox_image)}
  # Lowering an OOM score requires CAP_SYS_RESOURCE, which root in a container often does not have.
  restrict_oom_score_adj = true
  # In the instance's state folder, not in /run/netns of the machine.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".registry]
    # One folder per registry, read at each pull: its hosts.toml names a private CA.
    config_path = {quote(str(paths.registries))}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {quote(str(CNI_PLUGINS))}
    conf_dir = {quote(str(paths.config / "cni"))}
"""


def cni(paths: ClusterPaths) -> str:
    """The pod network: each pod has its own link, and everything is routed.

    `ptp` instead of `bridge`: on a bridge, replies of a Service's pod to a pod on the same bridge bypass
    the address translation unless the kernel has br_netfilter. There is no masquerading because there is
    no route out of the cluster.
    """
    plugin = {
        "type": "ptp",
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "dataDir": str(paths.instance.run / "addresses"),
            "ranges": [[{"subnet": str(paths.instance.addresses.pods)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return json.dumps({"cniVersion": "0.4.0", "name": "slipway", "plugins": [plugin]}, indent=2)


def kubelet(paths: ClusterPaths, cgroup_root: str) -> str:
    """The kubelet's configuration file."""
    instance, pki = paths.instance, paths.pki
    return _yaml(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": cgroup_root,
            # Without QoS groups, pods would be placed outside of `cgroupRoot`.
            "cgroupsPerQOS": True,
            "enforceNodeAllocatable": [],
            "failSwapOn": False,
            "address": str(instance.addresses.node),
            "authentication": {
                "anonymous": {"enabled": False},
                "x509": {"clientCAFile": str(pki.certificate("ca"))},
                "webhook": {"enabled": True},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(pki.certificate("kubelet-server")),
            "tlsPrivateKeyFile": str(pki.key("kubelet-server")),
            "clusterDNS": [str(instance.addresses.dns_service)],
            "clusterDomain": DOMAIN,
            # Pods only use the cluster's DNS; the machine's resolver is not reachable from them.
            "resolvConf": "",
            "containerRuntimeEndpoint": f"unix://{instance.containerd_socket}",
            # Images can't be pulled again, so they must not be garbage collected.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
            "podLogsDir": str(instance.log / "pods"),
            "containerLogMaxSize": "5Mi",
            "containerLogMaxFiles": 3,
            "volumePluginDir": str(instance.data / "kubelet" / "volume-plugins"),
            "makeIPTablesUtilChains": False,
            # Don't fail if sysctls and OOM scores can't be set.
            "featureGates": {"KubeletInUserNamespace": True},
        }
    )


def proxy(paths: ClusterPaths) -> str:
    """kube-proxy's configuration file."""
    return _yaml(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(paths.kubeconfig("proxy"))},
            "mode": "nftables",
            "clusterCIDR": str(paths.instance.addresses.pods),
            "hostnameOverride": paths.instance.node_name,
            "healthzBindAddress": "127.0.0.1:10256",
            # The size of the table can only be set in the machine's network namespace.
            "conntrack": {"maxPerCore": 0, "min": 0},
        }
    )


def corefile(paths: ClusterPaths) -> str:
    """CoreDNS: the cluster's names; all other names get NXDOMAIN, because nothing outside is reachable.

    NXDOMAIN instead of REFUSED, which resolvers treat as a temporary failure and retry.
    """
    node = paths.instance.addresses.node
    return f"""\
{DOMAIN}:{DNS_PORT} in-addr.arpa:{DNS_PORT} {{
    bind {node}
    errors
    kubernetes {DOMAIN} in-addr.arpa {{
        kubeconfig {paths.kubeconfig("coredns")}
        pods insecure
        ttl 5
    }}
    loadbalance
}}
.:{DNS_PORT} {{
    bind {node}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def encryption(key: bytes) -> str:
    """Encrypt Secrets in etcd with `key` (32 bytes)."""
    return _yaml(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [
                {
                    "resources": ["secrets"],
                    "providers": [
                        {"secretbox": {"keys": [{"name": "key1", "secret": base64.b64encode(key).decode()}]}},
                        {"identity": {}},
                    ],
                }
            ],
        }
    )


def kubeconfig(paths: ClusterPaths, client: str, server: str) -> str:
    """A kubeconfig with embedded certificates and keys, so that it can be copied elsewhere."""
    pki, name = paths.pki, paths.instance.name

    def embedded(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    return _yaml(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": name,
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": embedded(pki.certificate("ca")),
                    },
                }
            ],
            "users": [
                {
                    "name": client,
                    "user": {
                        "client-certificate-data": embedded(pki.certificate(client)),
                        "client-key-data": embedded(pki.key(client)),
                    },
                }
            ],
            "contexts": [{"name": name, "context": {"cluster": name, "user": client}}],
            "current-context": name,
        }
    )


INSIDE: Final = f"https://127.0.0.1:{API_PORT}"
"""URL of the API server in the cluster's network namespace."""


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False)
