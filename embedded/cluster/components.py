"""The table of the cluster's processes, in the order of the data flow.

    etcd -> apiserver -> controller-manager, scheduler, proxy, coredns, volumes
    containerd -> kubelet

Each row defines the command, the network namespace, and the components that must be ready first.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from embedded.cluster.config import INSIDE
from embedded.cluster.paths import API_PORT, ETCD_PEER_PORT, ETCD_PORT, ClusterPaths

BINARIES: Final = {
    "etcd": "etcd",
    "apiserver": "kube-apiserver",
    "controller-manager": "kube-controller-manager",
    "scheduler": "kube-scheduler",
    "kubelet": "kubelet",
    "proxy": "kube-proxy",
    "coredns": "coredns",
}
"""Component -> tool; containerd is a Debian package, and the others are our own Python modules."""

TOKEN_HOURS: Final = 24
"""Maximum lifetime of a ServiceAccount token."""


class Component(BaseModel):
    """One supervised process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    command: tuple[str, ...]
    network: Literal["cluster", "machine"] = "cluster"
    after: tuple[str, ...] = Field(default=(), description="Components that must be ready first.")
    listens: int | None = Field(default=None, description="TCP port that is open when it is ready.")
    socket: Path | None = Field(
        default=None, description="Unix socket that accepts connections when it is ready."
    )
    healthy: str | None = Field(default=None, description="HTTPS path that returns 200 when it is ready.")
    environment: dict[str, str] = Field(default_factory=dict)
    patience: float = Field(default=10.0, description="Seconds between SIGTERM and SIGKILL at stop.")


def components(paths: ClusterPaths, binaries: Mapping[str, Path]) -> tuple[Component, ...]:
    """The processes of the cluster; `binaries` has the keys of `BINARIES`."""
    instance = paths.instance
    return (
        _etcd(paths, binaries["etcd"]),
        _apiserver(paths, binaries["apiserver"]),
        Component(
            name="containerd",
            command=("containerd", "--config", str(paths.config / "containerd.toml")),
            socket=instance.containerd_socket,
        ),
        _controller_manager(paths, binaries["controller-manager"]),
        Component(
            name="scheduler",
            command=(
                str(binaries["scheduler"]),
                *_client(paths, "scheduler"),
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                "--profiling=false",
            ),
            after=("apiserver",),
            environment=_small_heap(128),
        ),
        Component(
            name="kubelet",
            command=(
                str(binaries["kubelet"]),
                f"--config={paths.config / 'kubelet.yaml'}",
                f"--kubeconfig={paths.kubeconfig('kubelet')}",
                f"--hostname-override={instance.node_name}",
                f"--node-ip={instance.addresses.node}",
                f"--root-dir={instance.data / 'kubelet'}",
                f"--cert-dir={instance.data / 'kubelet' / 'pki'}",
            ),
            after=("apiserver", "containerd"),
        ),
        Component(
            name="proxy",
            command=(str(binaries["proxy"]), f"--config={paths.config / 'proxy.yaml'}"),
            after=("apiserver",),
            environment=_small_heap(128),
        ),
        Component(
            name="coredns",
            command=(str(binaries["coredns"]), "-conf", str(paths.config / "Corefile")),
            after=("apiserver",),
            environment=_small_heap(128),
        ),
        Component(name="volumes", command=_own("volumes", instance.name), after=("apiserver",)),
        Component(name="forwards", command=_own("forwarding", instance.name), network="machine"),
    )


def _etcd(paths: ClusterPaths, binary: Path) -> Component:
    pki = paths.pki
    client, peer = f"https://127.0.0.1:{ETCD_PORT}", f"https://127.0.0.1:{ETCD_PEER_PORT}"
    tls_flags = (
        f"cert-file={pki.certificate('etcd-server')}",
        f"key-file={pki.key('etcd-server')}",
        f"trusted-ca-file={pki.certificate('etcd')}",
        "client-cert-auth=true",
    )
    return Component(
        name="etcd",
        command=(
            str(binary),
            "--name=slipway",
            f"--data-dir={paths.instance.data / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=slipway={peer}",
            *(f"--{flag}" for flag in tls_flags),
            *(f"--peer-{flag}" for flag in tls_flags),
            # Without progress notifications, newer API servers fall back to lists and controllers lag.
            "--watch-progress-notify-interval=5s",
            # Entries in memory since the last snapshot; a single member never needs to catch up.
            "--snapshot-count=5000",
        ),
        listens=ETCD_PORT,
        environment=_small_heap(256),
    )


def _apiserver(paths: ClusterPaths, binary: Path) -> Component:
    pki, addresses = paths.pki, paths.instance.addresses
    return Component(
        name="apiserver",
        command=(
            str(binary),
            f"--etcd-servers=https://127.0.0.1:{ETCD_PORT}",
            f"--etcd-cafile={pki.certificate('etcd')}",
            f"--etcd-certfile={pki.certificate('apiserver-etcd')}",
            f"--etcd-keyfile={pki.key('apiserver-etcd')}",
            f"--encryption-provider-config={paths.config / 'encryption.yaml'}",
            "--bind-address=0.0.0.0",
            f"--secure-port={API_PORT}",
            f"--advertise-address={addresses.node}",
            f"--tls-cert-file={pki.certificate('apiserver')}",
            f"--tls-private-key-file={pki.key('apiserver')}",
            f"--client-ca-file={pki.certificate('ca')}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--service-cluster-ip-range={addresses.services}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki.folder / 'service-account.pub'}",
            f"--service-account-signing-key-file={pki.key('service-account')}",
            # Limits every token, including those of pods, which are extended to a year by default.
            f"--service-account-max-token-expiration={TOKEN_HOURS}h",
            "--service-account-extend-token-expiration=false",
            f"--kubelet-client-certificate={pki.certificate('apiserver-kubelet')}",
            f"--kubelet-client-key={pki.key('apiserver-kubelet')}",
            f"--kubelet-certificate-authority={pki.certificate('ca')}",
            # The node's name does not resolve; without this, logs and exec fail.
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={pki.certificate('front-proxy')}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pki.certificate('front-proxy-client')}",
            f"--proxy-client-key-file={pki.key('front-proxy-client')}",
            "--profiling=false",
            # There is no load balancer to inform, so the single server stops immediately.
            "--shutdown-delay-duration=0s",
            "--shutdown-watch-termination-grace-period=1s",
        ),
        after=("etcd",),
        healthy="/readyz",
        environment=_small_heap(700),
        patience=20.0,
    )


def _controller_manager(paths: ClusterPaths, binary: Path) -> Component:
    pki = paths.pki
    return Component(
        name="controller-manager",
        command=(
            str(binary),
            *_client(paths, "controller-manager"),
            f"--service-account-private-key-file={pki.key('service-account')}",
            f"--root-ca-file={pki.certificate('ca')}",
            f"--cluster-signing-cert-file={pki.certificate('ca')}",
            f"--cluster-signing-key-file={pki.key('ca')}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--profiling=false",
            # On two cores, more workers only increase the load at start.
            "--concurrent-gc-syncs=5",
            "--kube-api-qps=100",
            "--kube-api-burst=200",
        ),
        after=("apiserver",),
        environment=_small_heap(256),
    )


def _client(paths: ClusterPaths, name: str) -> tuple[str, ...]:
    path = paths.kubeconfig(name)
    return (
        f"--kubeconfig={path}",
        f"--authentication-kubeconfig={path}",
        f"--authorization-kubeconfig={path}",
        "--authentication-tolerate-lookup-failure=true",
    )


def _own(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"embedded.cluster.{module}", *arguments)


def _small_heap(mebibytes: int) -> dict[str, str]:
    """A soft memory limit for Go's garbage collector; allocations never fail because of it."""
    return {"GOMEMLIMIT": f"{mebibytes}MiB"}


__all__ = ["BINARIES", "INSIDE", "Component", "components"]
