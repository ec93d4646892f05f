"""Where the files of one instance live, below its data and run folders."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from embedded.instance import Instance

CNI_PLUGINS: Final = Path("/usr/lib/cni")
"""Where Debian's containernetworking-plugins puts them."""
ETCD_PORT: Final = 2379
ETCD_PEER_PORT: Final = 2380
API_PORT: Final = 6443
DNS_PORT: Final = 53


@dataclass(frozen=True)
class KeyFolder:
    """Where keys and certificates are; pki.py makes them."""

    folder: Path

    def certificate(self, name: str) -> Path:
        """Path of a certificate."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Path of a private key."""
        return self.folder / f"{name}.key"


@dataclass(frozen=True)
class Places:
    """Every path that more than one module needs."""

    instance: Instance

    @property
    def pki(self) -> KeyFolder:
        """Keys and certificates."""
        return KeyFolder(self.instance.data / "pki")

    @property
    def config(self) -> Path:
        """Rendered configuration, rewritten by every start (0700: some of it holds keys)."""
        return self.instance.data / "config"

    @property
    def volumes(self) -> Path:
        """The folders behind PersistentVolumes."""
        return self.instance.data / "volumes"

    @property
    def forwards(self) -> Path:
        """Which port of 127.0.0.1 leads to which Service."""
        return self.instance.data / "forwards.json"

    @property
    def plan(self) -> Path:
        """What the supervisor is to run, written by `start`."""
        return self.instance.run / "plan.json"

    @property
    def processes(self) -> Path:
        """What the supervisor runs, rewritten by it at every change."""
        return self.instance.run / "processes.json"

    @property
    def supervisor(self) -> Path:
        """Locked by the supervisor while it lives; holds its pid."""
        return self.instance.run / "supervisor.pid"

    def kubeconfig(self, client: str) -> Path:
        """The kubeconfig of one component."""
        return self.config / f"{client}.kubeconfig"

    def log(self, process: str) -> Path:
        """The log of one process."""
        return self.instance.log / f"{process}.log"

    def private_mounts(self) -> dict[Path, Path]:
        """Folders that programs insist on, and what the instance's mount namespace puts there.

        containerd's shims, libcni and the kubelet have these paths compiled in; without a mount
        namespace of its own every instance would share them with the machine.
        """
        return {
            Path("/run/containerd"): self.instance.run / "shims",
            Path("/var/lib/cni"): self.instance.run / "cni-cache",
            Path("/var/lib/kubelet"): self.instance.run / "device-plugins",
            Path("/var/log/containers"): self.instance.log / "containers",
        }
