"""podman for kind, in a network namespace of its own; what it makes is taken away whatever happens.

Its containers, images and networks are in a folder of the test. The namespace has no way out, so nothing is
pulled, and the rules that podman and Kubernetes set are gone with it.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedded.toolchain import binary, debian

INOTIFY = {"max_user_instances": 512, "max_user_watches": 524288}
_MODULES = Path("/lib/modules")
_NETNS = Path("/run/netns")
_LIMITS = Path("/proc/sys/fs/inotify")
_ADDRESSES = Path("/var/lib/cni/networks")


@dataclass(frozen=True)
class Podman:
    """Where it runs, and the environment of commands that use it."""

    folder: Path
    env: Mapping[str, str]

    @property
    def within(self) -> list[str]:
        """The prefix that runs a command in the namespace."""
        return ["nsenter", f"--net={self.folder / 'netns'}"]

    def run(self, *arguments: str) -> str:
        """Run podman in the folder, and return what it prints."""
        done = subprocess.run(
            [*self.within, "podman", *arguments], env={**os.environ, **self.env}, cwd=self.folder,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextlib.contextmanager
def podman(folder: Path) -> Iterator[Podman]:
    """Have podman and kind in the network namespace during the block."""
    debian.ensure(names=["podman", "containernetworking-plugins", "iptables"])
    with contextlib.ExitStack() as undone:
        undone.enter_context(_limits())
        undone.enter_context(_modules())
        undone.enter_context(_named_namespaces())
        undone.enter_context(_namespace(folder / "netns"))
        made = Podman(folder, {**_configured(folder), "PATH": _path(), "XDG_DATA_HOME": str(folder / "data")})
        undone.callback(_remove_storage, made)
        yield made


def _path() -> str:
    own = [str(binary(name).parent) for name in ("kind", "kubectl")]
    return os.pathsep.join([*own, os.environ["PATH"]])


def _configured(folder: Path) -> dict[str, str]:
    """Write podman's settings; return the variables that name them."""
    (folder / "containers.conf").write_text(f"""\
[containers]
# Without CAP_SYS_RESOURCE podman can't raise limits as far as it would by default.
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
# crun refuses a machine with both versions of cgroups.
runtime = "runc"
tmp_dir = "{folder}/run/tmp"
[network]
network_backend = "cni"
network_config_dir = "{folder}/networks"
cni_plugin_dirs = ["{debian.cni_folder()}"]
""")
    (folder / "storage.conf").write_text(f"""\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run/storage"
""")
    return {
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "KIND_EXPERIMENTAL_PROVIDER": "podman",
    }


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    """Raise the kernel's limits of inotify to what a cluster needs."""
    before = {name: (_LIMITS / name).read_text() for name in INOTIFY}
    for name, needed in INOTIFY.items():
        if int(before[name]) < needed:
            (_LIMITS / name).write_text(str(needed))
    try:
        yield
    finally:
        for name, value in before.items():
            (_LIMITS / name).write_text(value)


@contextlib.contextmanager
def _named_namespaces() -> Iterator[None]:
    """Remove the mount that podman makes of the folder of named network namespaces, and never removes."""
    before = _NETNS.is_mount()
    try:
        yield
    finally:
        if not before and _NETNS.is_mount():
            subprocess.run(["umount", "--lazy", str(_NETNS)], check=True)
            with contextlib.suppress(OSError):
                _NETNS.rmdir()


@contextlib.contextmanager
def _modules() -> Iterator[None]:
    """Have the folder that kind mounts into its nodes; a kernel without modules has none."""
    made = not _MODULES.exists()
    _MODULES.mkdir(exist_ok=True)
    try:
        yield
    finally:
        if made:
            _MODULES.rmdir()


@contextlib.contextmanager
def _namespace(path: Path) -> Iterator[None]:
    path.touch()
    _done("unshare", f"--net={path}", "ip", "link", "set", "lo", "up")
    try:
        yield
    finally:
        _done("umount", str(path))


def _remove_storage(made: Podman) -> None:
    made.run("rm", "--all", "--force", "--volumes", "--time=0")
    made.run("volume", "prune", "--force")
    networks = made.run("network", "ls", "--format={{.Name}}").split()
    made.run("image", "unmount", "--all", "--force")
    for name in networks:
        shutil.rmtree(_ADDRESSES / name, ignore_errors=True)
    for root in Path("/sys/fs/cgroup").glob("**/libpod_parent"):
        for folder, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(OSError):  # another podman of this machine uses it
                Path(folder).rmdir()
    for mount in _mounts_below(made.folder / "storage"):
        _done("umount", mount)
    shutil.rmtree(made.folder / "storage")


def _mounts_below(folder: Path) -> Sequence[str]:
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((place for place in places if Path(place).is_relative_to(folder)), reverse=True)


def _done(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
