"""A containerd for tests, which imports and runs images like in the cluster."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.waiting import eventually

from embedded import images
from embedded.images.containerd import Containerd
from embedded.toolchain import debian


@dataclass
class Node:
    """A containerd of a test."""

    folder: Path
    reports: list[str] = field(default_factory=list)

    @property
    def containerd_socket(self) -> Path:
        return self.folder / "s.sock"

    def ensure(self, name: str) -> str:
        return images.ensure(name, Containerd.at(self.containerd_socket), self.reports.append)

    def ctr(self, *arguments: str) -> str:
        command = ["ctr", "--address", str(self.containerd_socket), "--namespace", "k8s.io", *arguments]
        completed = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        assert completed.returncode == 0, completed.stderr + completed.stdout
        return completed.stdout

    def run(self, name: str, *command: str) -> str:
        """Run a command in the image, read-only, as its user, without a network."""
        scratch = "type=tmpfs,dst=/tmp,options=mode=1777"
        identity = f"test-{time.monotonic_ns()}"
        return self.ctr(
            "run", "--rm", "--read-only", "--mount", scratch, self.ensure(name), identity, *command
        )


@contextmanager
def containerd(folder: Path) -> Iterator[Node]:
    """Run a containerd during the block."""
    debian.ensure()
    settings = {"root": folder / "root", "state": folder / "state"}
    text = "version = 2\ndisabled_plugins = ['io.containerd.grpc.v1.cri']\n"
    text += "".join(f"{name} = '{path}'\n" for name, path in settings.items())
    (folder / "config.toml").write_text(f"{text}[grpc]\naddress = '{folder / 's.sock'}'\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["containerd", "--config", str(folder / "config.toml")], stdout=log, stderr=log
        )
    node = Node(folder)
    try:
        eventually(node.containerd_socket.exists)
        node.ctr("version")
        yield node
    finally:
        process.terminate()
        process.wait(20)
