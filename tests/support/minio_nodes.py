"""Several real MinIO processes that are one store, with the arguments and certificate of the product."""

import os
import re
import secrets
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.minio import free_port, stop_minio
from support.waiting import PATIENCE_SECONDS

from embedded.toolchain import binary
from infra.stores.minio_layout import CERTIFICATES, MinioLayout
from storage.certificates import StoreCertificate, issue

_STACK_SECRET = "the stack's secret in tests of several nodes"


@dataclass
class Nodes:
    """A store of `layout.nodes` processes on loopback: each pod's name becomes a port."""

    layout: MinioLayout
    folder: Path
    ports: list[int]
    generation: int = 1
    access_key: str = field(default_factory=lambda: f"root-{secrets.token_hex(4)}")
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    running: "dict[int, subprocess.Popen[bytes]]" = field(default_factory=dict)

    @property
    def issued(self) -> StoreCertificate:
        return issue(_STACK_SECRET, self.generation, self.layout.hosts(()))

    def url(self, node: int) -> str:
        return f"https://127.0.0.1:{self.ports[node]}"

    def drive(self, node: int) -> Path:
        return self.folder / f"node{node}" / "data"

    def start(self, node: int) -> None:
        """Start one; it is ready once it has found enough of the others."""
        home = self.folder / f"node{node}"
        (home / "certs" / "CAs").mkdir(parents=True, exist_ok=True)
        (home / "certs" / "public.crt").write_text(self.issued.certificate)
        (home / "certs" / "private.key").write_text(self.issued.key.get_secret_value())
        (home / "certs" / "CAs" / "ca.crt").write_text(self.issued.peers)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "MINIO_ROOT_USER": self.access_key,
            "MINIO_ROOT_PASSWORD": self.secret_key,
            "MINIO_UPDATE": "off",
            **self.layout.console_variables(),
            # Else it refuses drives that lie on the machine's own disk.
            "MINIO_CI_CD": "on",
            # Else it waits, inside of a container, for its own name to be another than localhost.
            "_MINIO_SERVER_LOCAL": f"127.0.0.1:{self.ports[node]}",
        }
        with (home / "minio.log").open("ab") as log:
            self.running[node] = subprocess.Popen(
                [binary("minio"), *self._arguments(node)], env=environment, stdout=log, stderr=log
            )

    def kill(self, node: int) -> None:
        """End one as a machine that loses its power would."""
        process = self.running.pop(node)
        process.kill()
        process.wait()

    def wait(self, *nodes: int, path: str = "/minio/health/ready") -> None:
        """Return when each of `nodes` answers; its certificate is checked."""
        context = ssl.create_default_context(cadata=self.issued.peers)
        deadline = time.monotonic() + PATIENCE_SECONDS
        for node in nodes:
            while True:
                try:
                    urllib.request.urlopen(f"{self.url(node)}{path}", timeout=2, context=context).close()
                    break
                except (urllib.error.URLError, OSError) as error:
                    if time.monotonic() > deadline:
                        log = (self.folder / f"node{node}" / "minio.log").read_text(errors="replace")
                        raise AssertionError(f"node {node}: {error}: {log[-2000:]}") from error
                    time.sleep(0.2)

    def _arguments(self, node: int) -> list[str]:
        """Put loopback in the place of the pods' names, a folder in the place of /data."""
        drives = {
            f"{self.layout.service}-{each}": f"{self.url(each)}{self.drive(each)}"
            for each in range(self.layout.nodes)
        }
        server, pattern, _, certificates = self.layout.arguments()
        [(first, last)] = re.findall(r"\{(\d+)\.\.\.(\d+)\}", pattern)
        pods = [f"{self.layout.service}-{each}" for each in range(int(first), int(last) + 1)]
        return [
            server,
            "--quiet",
            f"--address=127.0.0.1:{self.ports[node]}",
            certificates.replace(CERTIFICATES, str(self.folder / f"node{node}" / "certs")),
            *(drives[pod] for pod in pods),
        ]


@contextmanager
def running_nodes(folder: Path, count: int = 4) -> Iterator[Nodes]:
    layout = MinioLayout(
        nodes=count, drives_per_node=1, service="minio", namespace="store", port=9000, console_port=None
    )
    nodes = Nodes(layout, folder, [free_port() for _ in range(count)])
    with ExitStack() as stack:
        stack.callback(lambda: [stop_minio(process) for process in nodes.running.values()])
        for node in range(count):
            nodes.start(node)
        nodes.wait(*range(count), path="/minio/health/cluster")
        yield nodes
