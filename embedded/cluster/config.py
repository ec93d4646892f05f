"""The components' configuration, as text from an instance: pure, so that a test can read it.

Each setting that is not a default has its reason beside it; most were found by measurement.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from embedded.cluster.places import API_PORT, CNI_PLUGINS, DNS_PORT, Places

DOMAIN: Final = "cluster.local"
STORAGE_CLASS: Final = "standard"


def containerd(places: Places, sandbox_image: str) -> str:
    """Containerd's `config.toml`."""
    instance = places.instance
    quote = json.dumps
    return f"""\
version = 2
root = {quote(str(instance.data / "containerd"))}
state = {quote(str(instance.run / "containerd"))}
# Snapshotters that nothing here uses; each would probe the machine at start.
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
  # Lowering an OOM score needs CAP_SYS_RESOURCE, which root in a container often lacks.
  restrict_oom_score_adj = true
  # Below our own state folder, not in /run/netns of the machine.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {quote(str(CNI_PLUGINS))}
    conf_dir = {quote(str(places.config / "cni"))}
"""


def cni(places: Places) -> str:
    """The pod network: each pod on a link of its own, everything routed.

    `ptp`, not `bridge`: with a bridge the answer of a Service's pod goes straight to its neighbour,
    past the address translation, unless the kernel has br_netfilter. And no masquerading: there is
    nowhere to go.
    """
    plugin = {
        "type": "ptp",
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "dataDir": str(places.instance.run / "addresses"),
            "ranges": [[{"subnet": str(places.instance.addresses.pods)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return json.dumps({"cniVersion": "0.4.0", "name": "slipway", "plugins": [plugin]}, indent=2)


def kubelet(places: Places, cgroup_root: str) -> str:
    """The kubelet's configuration file."""
    instance, pki = places.instance, places.pki
    return _yaml(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": cgroup_root,
            # Without the groups per class of service pods would land outside of `cgroupRoot`.
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
            # Pods ask the cluster's DNS only; the machine's resolver is out of reach anyway.
            "resolvConf": "",
            "containerRuntimeEndpoint": f"unix://{instance.containerd_socket}",
            # Nothing can be pulled again, so no image is ever collected.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
            "podLogsDir": str(instance.log / "pods"),
            "containerLogMaxSize": "5Mi",
            "containerLogMaxFiles": 3,
            "volumePluginDir": str(instance.data / "kubelet" / "volume-plugins"),
            "makeIPTablesUtilChains": False,
            # Sysctls and OOM scores it may not set are no reason to stop.
            "featureGates": {"KubeletInUserNamespace": True},
        }
    )


def proxy(places: Places) -> str:
    """kube-proxy's configuration file."""
    return _yaml(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(places.kubeconfig("proxy"))},
            "mode": "nftables",
            "clusterCIDR": str(places.instance.addresses.pods),
            "hostnameOverride": places.instance.node_name,
            "healthzBindAddress": "127.0.0.1:10256",
            # The table's size can be set only in the machine's own namespace.
            "conntrack": {"maxPerCore": 0, "min": 0},
        }
    )


def corefile(places: Places) -> str:
    """CoreDNS: the cluster's own names; everything else does not exist, since nothing can be reached.

    NXDOMAIN rather than REFUSED: resolvers take the latter for a passing fault and try again.
    """
    node = places.instance.addresses.node
    return f"""\
{DOMAIN}:{DNS_PORT} in-addr.arpa:{DNS_PORT} {{
    bind {node}
    errors
    kubernetes {DOMAIN} in-addr.arpa {{
        kubeconfig {places.kubeconfig("coredns")}
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
    """Secrets are encrypted in etcd with `key` (32 bytes)."""
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


def kubeconfig(places: Places, client: str, server: str) -> str:
    """A kubeconfig with everything in it, so that it can be copied elsewhere."""
    pki, name = places.pki, places.instance.name

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
"""The API server, for processes in the cluster's network namespace."""


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False)
