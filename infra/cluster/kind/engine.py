"""The container tool that runs the nodes: Docker, podman or nerdctl, found on PATH."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.core.errors import FailedError, UsageError

ENGINES: Final = ("docker", "podman", "nerdctl")
"""Those that kind can use, in the order in which it looks for them."""
_LABEL: Final = "io.x-k8s.kind.cluster"
_SECONDS: Final = 60.0
_INSTALL: Final = (
    "Install Docker (https://docs.docker.com/engine/install/) or podman (apt-get install podman)."
)


@dataclass(frozen=True)
class Node:
    """A container that is a node of a cluster."""

    id: str
    name: str
    running: bool


@dataclass(frozen=True)
class Engine:
    """One container tool whose engine answers."""

    name: str

    def nodes(self, cluster: str) -> tuple[Node, ...]:
        """Return the nodes of a cluster that kind made, running or not."""
        listed = self._run(
            "ps",
            "--all",
            "--no-trunc",
            f"--filter=label={_LABEL}={cluster}",
            "--format={{.ID}}\t{{.Names}}\t{{.Status}}",
        )
        rows = (line.split("\t") for line in listed.splitlines() if line)
        nodes = [Node(id=row[0], name=row[1], running=row[2].startswith("Up")) for row in rows]
        return tuple(sorted(nodes, key=lambda node: node.name))

    def start(self, node: Node) -> None:
        """Start a stopped node."""
        self._run("start", node.name)

    def memory(self) -> int:
        """Return the memory, in bytes, that the engine has for all containers."""
        field = "{{.Host.MemTotal}}" if self.name == "podman" else "{{.MemTotal}}"
        return int(self._run("info", f"--format={field}"))

    def ctr(self, node: str) -> list[str]:
        """Return the command that runs containerd's client in a node, with its standard input."""
        return [self.name, "exec", "--interactive", node, "ctr"]

    def _run(self, *arguments: str) -> str:
        done = _ask([self.name, *arguments])
        if done.returncode:
            raise FailedError(
                f"`{self.name} {arguments[0]}` failed.",
                why=_last_line(done.stderr),
                fix=f"Check that `{self.name} ps` works, and run the command again.",
            )
        return done.stdout.strip()


def find(wanted: str | None = None) -> Engine:
    """Return the container tool that is named, or the first on PATH whose engine answers.

    Raises:
        UsageError: there is none on PATH, or its engine does not run.
    """
    names = ENGINES if wanted is None else (wanted,)
    if not (installed := [name for name in names if shutil.which(name)]):
        raise UsageError(
            f"There is no {' or '.join(names)} on this machine.",
            why="The nodes of a cluster made by kind are containers.",
            fix=_INSTALL,
        )
    reasons = []
    for name in installed:
        done = _ask([name, "info"])
        if done.returncode == 0:
            return Engine(name)
        reasons.append(f"`{name} info`: {_last_line(done.stderr)}")
    raise UsageError(
        f"The engine of {' and '.join(installed)} does not run, or not for this user.",
        why=" ".join(reasons),
        fix="Start it (Docker: `systemctl start docker`, or Docker Desktop) and run the command again.",
    )


def _ask(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", f"{type(error).__name__}: {error}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"{lines[-1].rstrip('.')}." if lines else "It said nothing."
