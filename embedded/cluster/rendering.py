"""Render the configuration files of an instance and the supervisor's plan."""

import hashlib
import secrets
from pathlib import Path

from embedded.cluster import config, pki
from embedded.cluster.cgroups import Cgroups
from embedded.cluster.components import BINARIES, components
from embedded.cluster.config import INSIDE
from embedded.cluster.places import Places
from embedded.cluster.records import Plan
from embedded.images import reference
from embedded.toolchain import binary
from slipway.core import atomic_files
from slipway.core.report import Report

CLIENTS = ("controller-manager", "scheduler", "proxy", "kubelet", "coredns")
"""Components that use a kubeconfig."""


def render(places: Places, cgroups: Cgroups, report: Report) -> tuple[dict[Path, str], Plan]:
    """Create missing keys and tools; return the files to write and the plan.

    Running components are not affected: the caller compares the plan's digest before writing.
    """
    instance = places.instance
    instance.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    created = pki.Pki(places.pki.folder).ensure(
        pki.leaves(instance.node_name, instance.addresses.node, instance.addresses.api_service)
    )
    if created:
        report(f"created certificates: {', '.join(created)}")
    binaries = {component: binary(tool, report) for component, tool in BINARIES.items()}
    files = {
        places.config / "containerd.toml": config.containerd(places, reference("pause")),
        places.config / "cni" / "10-slipway.conflist": config.cni(places),
        places.config / "kubelet.yaml": config.kubelet(places, cgroups.pods_root),
        places.config / "proxy.yaml": config.proxy(places),
        places.config / "Corefile": config.corefile(places),
        places.config / "encryption.yaml": config.encryption(_encryption_key(places)),
        instance.kubeconfig: config.kubeconfig(places, "admin", f"https://127.0.0.1:{instance.ports.api}"),
        **{places.kubeconfig(client): config.kubeconfig(places, client, INSIDE) for client in CLIENTS},
    }
    rows = components(places, binaries)
    text = "\n".join([*files.values(), *(row.model_dump_json() for row in rows)])
    digest = hashlib.sha256(text.encode()).hexdigest()
    return files, Plan(instance=instance.name, digest=digest, components=rows)


def write_all(files: dict[Path, str]) -> None:
    """Write each file atomically, readable by its owner only."""
    for path, text in files.items():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        atomic_files.replace(path, text, mode=atomic_files.PRIVATE)


def _encryption_key(places: Places) -> bytes:
    """The key that encrypts Secrets in etcd, created once; without it they can't be decrypted."""
    path = places.pki.folder / "encryption.key"
    if not path.exists():
        atomic_files.create(path, secrets.token_bytes(32), mode=atomic_files.PRIVATE)
    return path.read_bytes()
