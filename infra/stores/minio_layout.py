"""How MinIO is laid out over pods and volumes: names, arguments, certificate hosts. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

CERTIFICATES: Final = "/etc/minio"
"""Where the server looks for `public.crt`, `private.key` and `CAs/`."""


NO_CONSOLE: Final[Mapping[str, str]] = {"MINIO_BROWSER": "off", "MINIO_STS_DURATION": "1s"}
"""Without the console, which signs in by a token, nobody gets a token.

MinIO's STS API asks no policy. But it refuses a token of less than 15 minutes, and takes the validity that
stands in its environment before the one that is asked for.
"""


@dataclass(frozen=True, kw_only=True)
class MinioLayout:
    """A number of pods with a number of volumes each."""

    nodes: int
    drives_per_node: int
    service: str
    namespace: str
    port: int
    console_port: int | None
    """None where the web console is off."""

    @property
    def distributed(self) -> bool:
        """Return whether pods speak to each other."""
        return self.nodes > 1

    @property
    def peers_service(self) -> str:
        """Return the name of the headless Service that gives each pod a name of its own."""
        return f"{self.service}-nodes"

    @property
    def volumes(self) -> tuple[str, ...]:
        """Return the names of a pod's volumes."""
        if self.drives_per_node == 1:
            return ("data",)
        return tuple(f"data{drive}" for drive in range(self.drives_per_node))

    @property
    def claims(self) -> tuple[str, ...]:
        """Return the names of all claims: those that a StatefulSet gives and looks for."""
        return tuple(
            f"{volume}-{self.service}-{node}" for node in range(self.nodes) for volume in self.volumes
        )

    @property
    def ports(self) -> dict[str, int]:
        """Return the ports that a pod answers on, by name."""
        return {"s3": self.port} | ({} if self.console_port is None else {"console": self.console_port})

    @property
    def endpoint(self) -> str:
        """Return the URL inside the cluster."""
        return f"https://{self.service}.{self.namespace}.svc.cluster.local:{self.port}"

    def arguments(self) -> list[str]:
        """Return the server's arguments; every pod of a store gets the same."""
        console = [] if self.console_port is None else [f"--console-address=:{self.console_port}"]
        return ["server", self._drives(), f"--address=:{self.port}", *console, f"--certs-dir={CERTIFICATES}"]

    def console_variables(self) -> Mapping[str, str]:
        """Return the environment that turns the web console on or off."""
        return NO_CONSOLE if self.console_port is None else {"MINIO_BROWSER": "on"}

    def _drives(self) -> str:
        """Return the drives in MinIO's own notation, three dots and all."""
        drives = "/data" if self.drives_per_node == 1 else f"/data{{0...{self.drives_per_node - 1}}}"
        if not self.distributed:
            return drives
        pods = f"{self.service}-{{0...{self.nodes - 1}}}.{self.peers_service}.{self.namespace}"
        return f"https://{pods}.svc.cluster.local:{self.port}{drives}"

    def hosts(self, outside: Sequence[str]) -> list[str]:
        """Return what the certificate is for: the Service, each pod, and the hosts of `outside` URLs."""
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
