"""What a local cluster needs from the kernel and the machine, and how to provide it."""

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from embedded import USE_DEV
from embedded.toolchain import cache

_CGROUPS: Final = Path("/sys/fs/cgroup")
_CONTROLLERS: Final = ("cpu", "memory", "pids", "cpuset", "devices")
_V2_CONTROLLERS: Final = ("cpu", "memory", "pids", "cpuset")
_ROOM: Final = 20
"""GiB: a first build leaves 7 of modules, 8 of Go's own cache, 1 of tools (2026-11-22), beside the images."""
_MEMORY: Final = 6
"""GiB: the platform runs in 3, the largest link takes 2 beside it."""


class Check(BaseModel):
    """The result of one check."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    ok: bool
    detail: str
    fix: str = ""
    fixed_by_up: bool = False
    """Whether `slipway up local` fixes it itself, so that it is reported but prevents nothing."""


def checks() -> list[Check]:
    """Check everything that is required of the machine; changes nothing."""
    return [check() for check in _CHECKS]


def _system() -> Check:
    release = {}
    for path in (Path("/etc/os-release"), Path("/usr/lib/os-release")):
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            release = {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}
            break
    family = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    name = release.get("PRETTY_NAME", platform.system())
    detail = f"{name}, Linux {platform.release()}, {platform.machine()}"
    ok = platform.system() == "Linux" and "debian" in family
    return Check(
        name="operating system", ok=ok, detail=detail, fix="" if ok else f"It must be a Debian. {USE_DEV}"
    )


def _root() -> Check:
    ok = os.geteuid() == 0
    detail = "root" if ok else f"user {os.geteuid()}"
    return Check(name="user", ok=ok, detail=detail, fix="" if ok else f"Run it as root (sudo -i). {USE_DEV}")


def _cgroups() -> Check:
    unified = _CGROUPS / "cgroup.controllers"
    if unified.exists():
        have = set(unified.read_text(encoding="utf-8").split())
        missing, kind = [name for name in _V2_CONTROLLERS if name not in have], "v2"
    else:
        missing, kind = (
            [name for name in _CONTROLLERS if not (_CGROUPS / name / "cgroup.procs").exists()],
            "v1",
        )
    if not missing:
        return Check(name="cgroups", ok=True, detail=f"{kind}, every controller is there")
    fix = f"Mount them (`mount -t cgroup -o {missing[0]} cgroup /sys/fs/cgroup/{missing[0]}`), or: {USE_DEV}"
    return Check(name="cgroups", ok=False, detail=f"{kind}, missing: {', '.join(missing)}", fix=fix)


def _namespaces() -> Check:
    """Create one in a child that ends at once: more reliable than a list of capabilities; nothing stays."""
    name = "network namespaces"
    if not Path("/proc/self/ns/net").exists():
        return Check(name=name, ok=False, detail="the kernel has none", fix=USE_DEV)
    if not (unshare := shutil.which("unshare")):
        return Check(
            name=name, ok=False, detail="can't be tried: no `unshare`", fix="apt-get install util-linux"
        )
    if (
        subprocess.run([unshare, "--net", "true"], capture_output=True, check=False, timeout=20).returncode
        == 0
    ):
        return Check(name=name, ok=True, detail="may be made")
    return Check(
        name=name,
        ok=False,
        detail="may not be made",
        fix=f"Run as root, with CAP_SYS_ADMIN in a container. {USE_DEV}",
    )


def _overlay() -> Check:
    known = Path("/proc/filesystems").read_text(encoding="utf-8").split()
    # A module that isn't loaded is not in the list; containerd loads it.
    module = Path(f"/lib/modules/{platform.release()}/kernel/fs/overlayfs").exists()
    ok = "overlay" in known or module
    return Check(
        name="overlay file system",
        ok=ok,
        detail="there" if ok else "missing in the kernel",
        fix="" if ok else f"modprobe overlay, or: {USE_DEV}",
    )


def _memory() -> Check:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    ok = total >= _MEMORY
    fix = "" if ok else f"{_MEMORY} GiB are needed; stop other programs or take a larger machine."
    return Check(name="memory", ok=ok, detail=f"{total:.0f} GiB, {os.cpu_count()} cores", fix=fix)


def _disk() -> Check:
    free = cache.free_bytes() / 1024**3
    ok = free >= _ROOM
    detail = f"{free:.0f} GiB free for {cache.root()}"
    fix = (
        ""
        if ok
        else f"{_ROOM} GiB are needed for a first build: free some, or name another folder in SLIPWAY_CACHE."
    )
    return Check(name="disk", ok=ok, detail=detail, fix=fix)


_CHECKS: Final[tuple[Callable[[], Check], ...]] = (
    _system,
    _root,
    _cgroups,
    _namespaces,
    _overlay,
    _memory,
    _disk,
)
