"""Check the requirements of the local cluster before anything on the machine is changed."""

import os
import platform
import shutil
from pathlib import Path
from typing import Final

from embedded import USE_DEV
from embedded.cluster.cgroups import Hierarchies
from slipway.core.errors import UsageError

COMMANDS: Final = (
    "containerd",
    "runc",
    "ctr",
    "nsenter",
    "unshare",
    "setsid",
    "mount",
    "umount",
    "ip",
    "nft",
)


def check_machine(
    *,
    system: str | None = None,
    user: int | None = None,
    filesystems: Path = Path("/proc/filesystems"),
    mountinfo: Path = Path("/proc/self/mountinfo"),
) -> None:
    """Check that the cluster can run on this machine. Changes nothing.

    Raises:
        UsageError: Not Linux, not root, no usable cgroups, or a kernel without overlayfs.
    """
    system = platform.system() if system is None else system
    if system != "Linux":
        raise UsageError(
            f"The local cluster requires Linux; this is {system}.",
            why="It uses Linux namespaces and cgroups.",
            fix=USE_DEV,
        )
    if (os.geteuid() if user is None else user) != 0:
        raise UsageError(
            "The local cluster requires root.",
            why="It creates network and mount namespaces, cgroups and links.",
            fix=f"Run as root. {USE_DEV}",
        )
    Hierarchies.of_this_machine(mountinfo)
    if "overlay" not in filesystems.read_text().split():
        raise UsageError(
            "The local cluster can't run here: this kernel has no overlayfs.",
            why="The file systems of containers use it.",
            fix=f"Load it with `modprobe overlay` if it is a module. {USE_DEV}",
        )


def check_commands(search: str | None = None) -> None:
    """Check that the required programs are installed; called after the Debian packages were installed.

    Raises:
        UsageError: A program is missing, for example on a Linux other than Debian.
    """
    missing = [command for command in COMMANDS if shutil.which(command, path=search) is None]
    if missing:
        raise UsageError(
            f"Programs that the local cluster requires are missing: {', '.join(missing)}.",
            why="They come from Debian packages (containerd, runc, iproute2, nftables, util-linux).",
            fix=f"Install them with this system's package manager. {USE_DEV}",
        )
