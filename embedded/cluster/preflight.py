"""What a machine must be before the local cluster touches it; every refusal names the way out."""

import os
import platform
import shutil
from pathlib import Path
from typing import Final

from embedded.cluster.cgroups import USE_KIND, Hierarchies
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
    """Refuse a machine on which the cluster can't run. Changes nothing.

    Raises:
        UsageError: not Linux, not root, no usable cgroups, or a kernel without overlayfs.
    """
    system = platform.system() if system is None else system
    if system != "Linux":
        raise UsageError(
            f"The local cluster runs on Linux, and this is {system}.",
            why="It is made of Linux namespaces and cgroups.",
            fix=USE_KIND,
        )
    if (os.geteuid() if user is None else user) != 0:
        raise UsageError(
            "The local cluster needs root.",
            why="It makes network and mount namespaces, cgroups and links.",
            fix=f"Run as root. {USE_KIND}",
        )
    Hierarchies.of_this_machine(mountinfo)
    if "overlay" not in filesystems.read_text().split():
        raise UsageError(
            "The local cluster can't run here: this kernel has no overlayfs.",
            why="Containers get their file systems from it.",
            fix=f"Load it with `modprobe overlay` if it is a module. {USE_KIND}",
        )


def check_commands(search: str | None = None) -> None:
    """Refuse a machine that lacks a program we did not build, once Debian's packages were asked for.

    Raises:
        UsageError: a program is missing, as on another Linux than Debian.
    """
    missing = [command for command in COMMANDS if shutil.which(command, path=search) is None]
    if missing:
        raise UsageError(
            f"The local cluster lacks {', '.join(missing)}.",
            why="They come from Debian packages (containerd, runc, iproute2, nftables, util-linux).",
            fix=f"Install them with this system's package manager. {USE_KIND}",
        )
