"""The mount namespace of an instance, so that its mounts and private folders don't affect the machine.

Pods, volumes and containerd create dozens of mounts. The kernel removes them with the namespace when its
last process ends, even after `kill -9`. The namespace also replaces folders whose paths are compiled into
programs (`paths.private_mounts`), and six sysctls that the kubelet requires: it reads plain files with
the required values, and the machine's sysctls are not changed.
"""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from embedded.cluster.paths import ClusterPaths
from embedded.instance import DATA_ROOT
from slipway.core.errors import FailedError

_CLONE_NEWNS: Final = 0x00020000
KUBELET_SYSCTLS: Final = {
    "vm.overcommit_memory": 1,
    "vm.panic_on_oom": 0,
    "kernel.panic": 10,
    "kernel.panic_on_oops": 1,
    "kernel.keys.root_maxkeys": 1_000_000,
    "kernel.keys.root_maxbytes": 25_000_000,
}
_UNMOUNT_AND_REMOVE: Final = """\
while :; do
  while umount --lazy "$1/$2"; do :; done
  rm "$1/$2" && exit
  umount --lazy "$1" || exit
done
"""
CREATED_MOUNT_POINTS: Final = DATA_ROOT / "made-folders"
"""List of the mount points that we created, one per line; the last instance removes them."""


def isolate(paths: ClusterPaths) -> None:
    """Move this process and its future descendants into a new mount namespace."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")
    _mount("--make-rprivate", "/")
    for target, source in paths.private_mounts().items():
        source.mkdir(mode=0o711, parents=True, exist_ok=True)
        _mount("--bind", str(source), str(target))
    for sysctl, value in KUBELET_SYSCTLS.items():
        file = paths.instance.run / "sysctls" / sysctl
        file.parent.mkdir(mode=0o700, exist_ok=True)
        file.write_text(f"{value}\n")
        _mount("--bind", str(file), f"/proc/sys/{sysctl.replace('.', '/')}")
    # Pods can request mount propagation to the node; it ends at our namespace.
    _mount("--make-rshared", "/")


def make_mount_points(targets: Iterable[Path], ledger: Path = CREATED_MOUNT_POINTS) -> None:
    """Create missing mount points, and record them."""
    created = []
    for target in targets:
        if not target.exists():
            target.mkdir(mode=0o755, parents=True)
            created.append(str(target))
    if created:
        with ledger.open("a") as stream:
            stream.writelines(f"{line}\n" for line in created)


def remove_mount_points(ledger: Path = CREATED_MOUNT_POINTS) -> None:
    """Remove the mount points that we created, if they are empty.

    Only for the last instance: removing a folder that is a mount point of another instance would unmount
    it there.
    """
    with contextlib.suppress(FileNotFoundError):
        for line in ledger.read_text().splitlines():
            with contextlib.suppress(OSError):
                Path(line).rmdir()
        ledger.unlink()


def mounted_below(*folders: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> list[Path]:
    """Mount points at or below `folders`, deepest first."""
    points = (Path(_unescape(line.split()[4])) for line in mountinfo.read_text().splitlines())
    below = [p for p in points if any(p == folder or folder in p.parents for folder in folders)]
    return sorted(below, key=lambda p: len(p.parts), reverse=True)


def unmount_below(*folders: Path) -> None:
    """Unmount everything at or below `folders` in this namespace."""
    for point in mounted_below(*folders):
        subprocess.run(["umount", "--lazy", str(point)], capture_output=True, check=False)


def remove_mounted_file(path: Path) -> None:
    """Unmount and remove a file, even if its mount is hidden by another mount.

    A file can't be removed while it is a mount point in this mount namespace, and a hidden mount can't be
    unmounted by its path. In a new mount namespace we unmount what hides it, which has no effect outside;
    removing the file there removes the hidden mount everywhere.

    Raises:
        FailedError: The file still exists.
    """
    if not path.exists():
        return
    subprocess.run(["umount", "--lazy", str(path)], capture_output=True, check=False)
    completed = subprocess.run(
        [
            "unshare",
            "--mount",
            "--propagation=private",
            "sh",
            "-c",
            _UNMOUNT_AND_REMOVE,
            "sh",
            path.parent,
            path.name,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if path.exists():
        raise FailedError(
            f"{path} can't be removed.",
            why=(completed.stderr.strip().splitlines() or ["Something is mounted on it."])[-1],
            fix=f"Find the mount (`findmnt {path}`), unmount it and run the command again.",
        )


def _unescape(text: str) -> str:
    return text.replace(r"\040", " ").replace(r"\011", "\t").replace(r"\012", "\n").replace(r"\134", "\\")


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
