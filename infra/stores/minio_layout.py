"""Layout of MinIO over pods and volumes: names, arguments, certificate hosts. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

CERTIFICATES: Final = "/etc/minio"
"""Folder in which the server expects `public.crt`, `private.key` and `CAs/`."""


NO_CONSOLE: Final[Mapping[str, str]] = {"MINIO_BROWSER": "off", "MINIO_STS_DURATION": "1s"}
"""Environment that turns off the console and STS tokens, which only the console needs.

No policy can restrict MinIO's STS API. But it rejects tokens of less than 15 minutes, and a duration in its
environment overrides the requested one.
"""


@dataclass(frozen=True, kw_only=True)
class MinioLayout:
    """Pods of a store, and the volumes of each."""

    nodes: int
    drives_per_node: int
    service: str
    namespace: str
    port: int
    console_port: int | None
    """None where the web console is off."""

    @property
    def distributed(self) -> bool:
        """Whether the store has several pods, which connect to each other."""
        return self.nodes > 1

    @property
    def peers_service(self) -> str:
        """Name of the headless Service that gives each pod a DNS name."""
        return f"{self.service}-nodes"

    @property
    def volumes(self) -> tuple[str, ...]:
        """Names of a pod's volumes."""
        if self.drives_per_node == 1:
            return ("data",)
        return tuple(f"data{drive}" for drive in range(self.drives_per_node))

    @property
    def claims(self) -> tuple[str, ...]:
        """Names of all PersistentVolumeClaims, in the StatefulSet's naming scheme."""
        return tuple(
            f"{volume}-{self.service}-{node}" for node in range(self.nodes) for volume in self.volumes
        )

    @property
    def ports(self) -> dict[str, int]:
        """A pod's ports by name."""
        return {"s3": self.port} | ({} if self.console_port is None else {"console": self.console_port})

    @property
    def endpoint(self) -> str:
        """URL inside the cluster."""
        return f"https://{self.service}.{self.namespace}.svc.cluster.local:{self.port}"

    def arguments(self) -> list[str]:
        """Return the server's arguments; they are the same for every pod of a store."""
        console = [] if self.console_port is None else [f"--console-address=:{self.console_port}"]
        return ["server", self._drives(), f"--address=:{self.port}", *console, f"--certs-dir={CERTIFICATES}"]

    def console_variables(self) -> Mapping[str, str]:
        """Return the environment that turns the web console on or off."""
        return NO_CONSOLE if self.console_port is None else {"MINIO_BROWSER": "on"}

    def _drives(self) -> str:
        """Return the drives in MinIO's notation, with three dots for a range."""
        drives = "/data" if self.drives_per_node == 1 else f"/data{{0...{self.drives_per_node - 1}}}"
        if not self.distributed:
            return drives
        pods = f"{self.service}-{{0...{self.nodes - 1}}}.{self.peers_service}.{self.namespace}"
        return f"https://{pods}.svc.cluster.local:{self.port}{drives}"

    def hosts(self, outside: Sequence[str]) -> list[str]:
        """Return the hosts of the certificate: the Service, each pod, and the hosts of the `outside` URLs."""
        within = f"{self.service}.{self.namespace}"
        return [
            self.service,
            within,
            f"{within}.svc",
            f"{within}.svc.cluster.local",
            f"*.{self.peers_service}.{self.namespace}.svc.cluster.local",
            "localhost",
            "127.0.0.1",
            *(host for url in outside if (host := urlsplit(url).hostname)),
        ]
