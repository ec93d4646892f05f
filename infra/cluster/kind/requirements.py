"""What this machine must have before kind makes a cluster; each refusal says what to do."""

import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from infra.cluster.kind.engine import Engine
from slipway.core.errors import UsageError

INOTIFY: Final = {"max_user_instances": 512, "max_user_watches": 524288}
"""As kind's documentation names them. With less, pods of a platform fail with "too many open files"."""
MEMORY: Final = 6 << 30
"""Bytes: as for `local`, whose platform runs in half of it."""
OLDEST: Final = (0, 33)
"""The first version of kind with which this was run; it made the node images that Slipway names."""
INSTALL: Final = "Install it: https://kind.sigs.k8s.io/docs/user/quick-start/#installation"
_PROC: Final = Path("/proc/sys/fs/inotify")


def check(engine: Engine, version: str, ports: Iterable[int], *, inotify: Path = _PROC) -> None:
    """Refuse a machine on which the cluster would not be made, or would not run a platform.

    Args:
        engine: the container tool.
        version: what `kind version` prints.
        ports: ports of 127.0.0.1 that the cluster will listen on.
        inotify: the folder with the kernel's limits; one that is missing is not checked.

    Raises:
        UsageError: something is missing; nothing was made.
    """
    check_version(version)
    check_inotify(inotify)
    check_memory(engine.name, engine.memory())
    check_ports(ports)


def check_version(version: str) -> None:
    """Refuse a kind that is too old."""
    found = re.search(r"v(\d+)\.(\d+)\.", version)
    oldest = ".".join(map(str, OLDEST))
    if not found or (int(found[1]), int(found[2])) < OLDEST:
        raise UsageError(
            f"This kind is too old: {version.strip() or 'it names no version'}.",
            why=f"Slipway was run with kind {oldest} and its node images.",
            fix=INSTALL,
        )


def check_inotify(folder: Path) -> None:
    """Refuse limits that are too low; where the engine has a kernel of its own, they can't be read here."""
    low = {}
    for name, needed in INOTIFY.items():
        path = folder / name
        if path.is_file() and (has := int(path.read_text())) < needed:
            low[f"fs.inotify.{name}"] = (has, needed)
    if low:
        raise UsageError(
            "This kernel's limits of inotify are too low for a cluster: "
            + ", ".join(f"{name} is {has}" for name, (has, _) in low.items())
            + ".",
            why="Nodes share them, and pods would fail with `too many open files`.",
            fix=f"As root: sysctl -w {' '.join(f'{name}={needed}' for name, (_, needed) in low.items())}"
            " (and the same lines in /etc/sysctl.d/ to keep them).",
        )


def check_memory(engine: str, total: int) -> None:
    """Refuse an engine that has too little memory."""
    if total < MEMORY:
        raise UsageError(
            f"The engine of {engine} has {total / (1 << 30):.1f} GiB of memory.",
            why=f"A cluster with the platform needs {MEMORY >> 30} GiB.",
            fix="Give it more (Docker Desktop: Settings, Resources), or use a larger machine.",
        )


def check_ports(ports: Iterable[int]) -> None:
    """Refuse ports of 127.0.0.1 that something listens on."""
    for port in ports:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError as error:
                raise UsageError(
                    f"Port {port} of 127.0.0.1 can't be used.",
                    why=f"{error.strerror}.",
                    fix="Stop what listens there, or set another port under `endpoints`.",
                ) from None
