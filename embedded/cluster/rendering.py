"""Render the configuration files of an instance and the supervisor's plan."""

import hashlib
import secrets
from pathlib import Path

from embedded.cluster import config, pki
from embedded.cluster.cgroups import Cgroups
from embedded.cluster.components import BINARIES, components
from embedded.cluster.config import INSIDE
from embedded.cluster.paths import ClusterPaths
from embedded.cluster.records import Plan
from embedded.images import reference
from embedded.toolchain import binary
from slipway.core import atomic_files
from slipway.core.report import Report

CLIENTS = ("controller-manager", "scheduler", "proxy", "kubelet", "coredns")
"""Components that use a kubeconfig."""


def render(paths: ClusterPaths, cgroups: Cgroups, report: Report) -> tuple[dict[Path, str], Plan]:
    """Create missing keys and tools; return the files to write and the plan.

    Running components are not affected: the caller compares the plan's digest before writing.
    """
    instance = paths.instance
    instance.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    created = pki.Pki(paths.pki.folder).ensure(
        pki.leaves(instance.node_name, instance.addresses.node, instance.addresses.api_service)
    )
    if created:
        report(f"created certificates: {', '.join(created)}")
    binaries = {component: binary(tool, report) for component, tool in BINARIES.items()}
    files = {
        paths.config / "containerd.toml": config.containerd(paths, reference("pause")),
        paths.config / "cni" / "10-slipway.conflist": config.cni(paths),
        paths.config / "kubelet.yaml": config.kubelet(paths, cgroups.pods_root),
        paths.config / "proxy.yaml": config.proxy(paths),
        paths.config / "Corefile": config.corefile(paths),
        paths.config / "encryption.yaml": config.encryption(_encryption_key(paths)),
        instance.kubeconfig: config.kubeconfig(paths, "admin", f"https://127.0.0.1:{instance.ports.api}"),
        **{paths.kubeconfig(client): config.kubeconfig(paths, client, INSIDE) for client in CLIENTS},
    }
    rows = components(paths, binaries)
    text = "\n".join([*files.values(), *(row.model_dump_json() for row in rows)])
    digest = hashlib.sha256(text.encode()).hexdigest()
    return files, Plan(instance=instance.name, digest=digest, components=rows)


def write_all(files: dict[Path, str]) -> None:
    """Write each file atomically, readable by its owner only."""
    for path, text in files.items():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        atomic_files.replace(path, text, mode=atomic_files.PRIVATE)


def _encryption_key(paths: ClusterPaths) -> bytes:
    """The key that encrypts Secrets in etcd, created once; without it they can't be decrypted."""
    path = paths.pki.folder / "encryption.key"
    if not path.exists():
        atomic_files.create(path, secrets.token_bytes(32), mode=atomic_files.PRIVATE)
    return path.read_bytes()
