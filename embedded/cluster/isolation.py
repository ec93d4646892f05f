"""A mount namespace of the instance's own, so that no mount and no shared folder reaches the machine.

Pods, volumes and containerd mount dozens of things. In a namespace of their own these go when the
last process goes, even after `kill -9` of everything. The same namespace hides the folders that
programs have compiled in (`places.private_mounts`) and the six sysctls that a kubelet insists on
setting: it finds plain files with the values it wants, and those of the machine stay as they are.
"""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from embedded.cluster.places import Places
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
_UNCOVER: Final = """\
while :; do
  while umount --lazy "$1/$2"; do :; done
  rm "$1/$2" && exit
  umount --lazy "$1" || exit
done
"""
MADE: Final = DATA_ROOT / "made-folders"
"""Mount points that did not exist before, one a line; the last instance removes them."""


def isolate(places: Places) -> None:
    """Move this process, and what it starts, into a mount namespace of its own."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")
    _mount("--make-rprivate", "/")
    for target, source in places.private_mounts().items():
        source.mkdir(mode=0o711, parents=True, exist_ok=True)
        _mount("--bind", str(source), str(target))
    for knob, value in KUBELET_SYSCTLS.items():
        pretence = places.instance.run / "sysctls" / knob
        pretence.parent.mkdir(mode=0o700, exist_ok=True)
        pretence.write_text(f"{value}\n")
        _mount("--bind", str(pretence), f"/proc/sys/{knob.replace('.', '/')}")
    # Pods may ask for mounts that travel from them to the node; those end at our namespace.
    _mount("--make-rshared", "/")


def make_mount_points(targets: Iterable[Path], ledger: Path = MADE) -> None:
    """Make the folders to mount on where they are missing, and remember which."""
    made = []
    for target in targets:
        if not target.exists():
            target.mkdir(mode=0o755, parents=True)
            made.append(str(target))
    if made:
        with ledger.open("a") as stream:
            stream.writelines(f"{line}\n" for line in made)


def remove_mount_points(ledger: Path = MADE) -> None:
    """Remove the folders made earlier, if they are empty.

    Only for the last instance: removing a folder that another one has mounted something on would
    unmount it there.
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
    """Unmount whatever is mounted at or below `folders` in this namespace."""
    for point in mounted_below(*folders):
        subprocess.run(["umount", "--lazy", str(point)], capture_output=True, check=False)


def remove_mounted_file(path: Path) -> None:
    """Unmount a file and remove it, also where another mount hides the one that is on it.

    A file can't be removed while something is mounted on it in this mount namespace, and what another
    mount hides can't be unmounted by its path. In a mount namespace of our own we unmount what hides it,
    which changes nothing outside; removing the file there ends the hidden mount everywhere.

    Raises:
        FailedError: the file is still there.
    """
    if not path.exists():
        return
    subprocess.run(["umount", "--lazy", str(path)], capture_output=True, check=False)
    done = subprocess.run(
        ["unshare", "--mount", "--propagation=private", "sh", "-c", _UNCOVER, "sh", path.parent, path.name],
        capture_output=True,
        text=True,
        check=False,
    )
    if path.exists():
        raise FailedError(
            f"{path} can't be removed.",
            why=(done.stderr.strip().splitlines() or ["Something is mounted on it."])[-1],
            fix=f"See what is mounted there (`findmnt {path}`), unmount it and run the command again.",
        )


def _unescape(text: str) -> str:
    return text.replace(r"\040", " ").replace(r"\011", "\t").replace(r"\012", "\n").replace(r"\134", "\\")


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
