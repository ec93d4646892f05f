"""Paths of the files of an instance, below its data and run folders."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from embedded.instance import Instance

CNI_PLUGINS: Final = Path("/usr/lib/cni")
"""Folder of Debian's containernetworking-plugins."""
ETCD_PORT: Final = 2379
ETCD_PEER_PORT: Final = 2380
API_PORT: Final = 6443
DNS_PORT: Final = 53


@dataclass(frozen=True)
class KeyFolder:
    """Paths of keys and certificates, which pki.py creates."""

    folder: Path

    def certificate(self, name: str) -> Path:
        """Path of a certificate."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Path of a private key."""
        return self.folder / f"{name}.key"


@dataclass(frozen=True)
class ClusterPaths:
    """The paths that several modules need."""

    instance: Instance

    @property
    def pki(self) -> KeyFolder:
        """Keys and certificates."""
        return KeyFolder(self.instance.data / "pki")

    @property
    def config(self) -> Path:
        """Rendered configuration, rewritten at every start (0700: some files contain keys)."""
        return self.instance.data / "config"

    @property
    def registries(self) -> Path:
        """How the node connects to image registries: `<registry>/hosts.toml`; none by default."""
        return self.instance.data / "registries"

    @property
    def volumes(self) -> Path:
        """The folders behind PersistentVolumes."""
        return self.instance.data / "volumes"

    @property
    def forwards(self) -> Path:
        """The table of port forwards."""
        return self.instance.data / "forwards.json"

    @property
    def plan(self) -> Path:
        """The supervisor's plan, written by `start`."""
        return self.instance.run / "plan.json"

    @property
    def processes(self) -> Path:
        """The state of the components, rewritten by the supervisor at every change."""
        return self.instance.run / "processes.json"

    @property
    def supervisor(self) -> Path:
        """Lock file of the supervisor, locked while it runs; contains its pid."""
        return self.instance.run / "supervisor.pid"

    def kubeconfig(self, client: str) -> Path:
        """The kubeconfig of one component."""
        return self.config / f"{client}.kubeconfig"

    def log(self, process: str) -> Path:
        """The log of one process."""
        return self.instance.log / f"{process}.log"

    def private_mounts(self) -> dict[Path, Path]:
        """Hard-coded folder of a program -> folder of the instance that is mounted there.

        These paths are compiled into containerd's shims, libcni and the kubelet; without a mount namespace
        every instance would share them with the machine.
        """
        return {
            Path("/run/containerd"): self.instance.run / "shims",
            Path("/var/lib/cni"): self.instance.run / "cni-cache",
            Path("/var/lib/kubelet"): self.instance.run / "device-plugins",
            Path("/var/log/containers"): self.instance.log / "containers",
        }
