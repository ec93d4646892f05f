"""What comes from the distribution: containerd, runc, CNI plugins and network tools.

Presence is checked by file, not by package: a machine with Docker has its own containerd, and installing
Debian's with apt would remove Docker. For the same reason apt may add packages but never remove any.
"""

import os
import shutil
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from embedded.toolchain import lanes, processes
from embedded.toolchain.failures import explain
from slipway.core.errors import UsageError
from slipway.core.report import Report, silent

_SBIN: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
CNI_FOLDERS: Final = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
"""Where distributions and upstream put the CNI plugins."""

_LISTS: Final = Path("/var/lib/apt/lists")
_DPKG_GRACE: Final = 60.0
"""Time to finish: a dpkg that is killed in the middle of a package leaves a database that needs repair."""
_APT_OPTIONS: Final = (
    "--option=DPkg::Lock::Timeout=300",  # another apt, perhaps of another clone, is waited for
    "--option=Dpkg::Use-Pty=0",
    "--option=Acquire::Retries=2",
)
_UPDATE: Final = ("apt-get", "update")
_REMEDIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "dpkg was interrupted": ("dpkg", "--configure", "-a"),
        # What apt reports when the archive has changed since the lists were fetched.
        "Unable to locate package": _UPDATE,
        "no installation candidate": _UPDATE,
        "404 ": _UPDATE,
        "Hash Sum mismatch": _UPDATE,
    }
)


@dataclass(frozen=True)
class Package:
    """A Debian package, and the files that show that it is not needed."""

    name: str
    commands: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    only_tests: bool = False
    """Whether only the tests need it."""

    def present(self) -> bool:
        """Whether the machine has all of it, from this package or another."""
        return all(which(command) for command in self.commands) and (
            not self.plugins or cni_folder(self.plugins) is not None
        )


PACKAGES: Final[Mapping[str, Package]] = MappingProxyType(
    {
        package.name: package
        for package in (
            Package("containerd", commands=("containerd", "ctr", "containerd-shim-runc-v2")),
            Package("runc", commands=("runc",)),
            Package("containernetworking-plugins", plugins=("bridge", "host-local", "loopback", "portmap")),
            Package("iptables", commands=("iptables",)),
            Package("nftables", commands=("nft",)),
            Package("conntrack", commands=("conntrack",)),
            Package("iproute2", commands=("ip",)),
            Package("util-linux", commands=("nsenter", "setpriv", "unshare")),
            Package("mount", commands=("mount", "umount")),
            Package("procps", commands=("sysctl",)),
            Package("podman", commands=("podman",), only_tests=True),
        )
    }
)
"""Every package, and how to see that it is there."""


def chosen(*, tests: bool = False) -> list[str]:
    """The packages of a platform; with `tests` also those that only the tests need."""
    return [package.name for package in PACKAGES.values() if tests or not package.only_tests]


def which(command: str) -> Path | None:
    """A command of the system; also looks in the sbin folders, which a user's PATH may not contain."""
    path = shutil.which(command, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN]))
    return Path(path) if path else None


def cni_folder(plugins: Iterable[str] = ("bridge", "host-local", "loopback")) -> Path | None:
    """The folder that holds these CNI plugins."""
    wanted = tuple(plugins)
    return next((f for f in CNI_FOLDERS if all(os.access(f / plugin, os.X_OK) for plugin in wanted)), None)


def missing(names: Iterable[str] | None = None) -> list[str]:
    """The packages, of those named or of a platform, that are missing on the machine."""
    return [name for name in (chosen() if names is None else names) if not PACKAGES[name].present()]


def command(names: Iterable[str]) -> str:
    """What a person would type to install them."""
    return f"apt-get update && apt-get install --yes --no-install-recommends {' '.join(names)}"


def ensure(report: Report = silent, names: Iterable[str] | None = None) -> None:
    """Install what is missing.

    Args:
        report: Receives what apt does.
        names: Packages; None is those of a platform.

    Raises:
        UsageError: Something is missing and this machine or user can't install it.
        FailedError: apt failed; a rerun converges.
    """
    packages = missing(names)
    if packages:
        lanes.run([step(packages)], lanes=1, report=report)


def step(names: Iterable[str] | None = None) -> lanes.Step:
    """The installation as a job that can run beside others.

    Raises:
        UsageError: Something is missing and this machine or user can't install it.
    """
    packages = missing(names)
    _check_possible(packages)
    return lanes.Step(
        subject=f"Debian packages {', '.join(packages)}",
        verb="installed",
        work=lambda step, cancel: _install(packages, step, cancel),
    )


def _check_possible(packages: list[str]) -> None:
    if not which("apt-get"):
        raise UsageError(
            f"Missing on this machine: {', '.join(packages)}.",
            why="It is not a Debian: there is no apt-get to install them with.",
            fix="Install them with your distribution's packages, "
            "or use the `dev` environment with an existing cluster.",
        )
    if os.geteuid() != 0:
        raise UsageError(
            f"Missing on this machine: {', '.join(packages)}.",
            why="Installing Debian packages needs root.",
            fix=f"As root: {command(packages)}",
        )


def _install(packages: list[str], step: lanes.Step, cancel: threading.Event) -> None:
    apt = _Apt(step, cancel)
    what = f"The Debian packages {', '.join(packages)} could not be installed."
    if not any(_LISTS.glob("*_Packages*")):  # container images come without
        apt.run(what, *_UPDATE)
    install = ("apt-get", "install", "--yes", "--no-install-recommends", "--no-remove", *packages)
    tried: set[tuple[str, ...]] = set()
    while apt.attempt(*install) != 0:
        remedy = apt.remedy()
        if remedy is None or remedy in tried:
            raise explain(what, list(apt.output))
        tried.add(remedy)
        apt.run(what, *remedy)
    if still := missing(packages):
        raise explain(f"apt installed {', '.join(still)}, but not the expected files.", list(apt.output))


class _Apt:
    """apt and dpkg without questions, their output turned into phases."""

    def __init__(self, step: lanes.Step, cancel: threading.Event) -> None:
        self.output: deque[str] = deque(maxlen=60)
        self._step = step
        self._cancel = cancel

    def remedy(self) -> tuple[str, ...] | None:
        """The command that fixes the last failure, if there is one."""
        text = "\n".join(self.output)
        return next((command for mark, command in _REMEDIES.items() if mark in text), None)

    def run(self, what: str, *command: str) -> None:
        """Run a command that must succeed."""
        if self.attempt(*command) != 0:
            raise explain(what, list(self.output))

    def attempt(self, program: str, *arguments: str) -> int:
        """Run a command and keep its output."""
        self.output.clear()
        return processes.follow(
            [str(which(program)), *(_APT_OPTIONS if program == "apt-get" else ()), *arguments],
            cwd=Path("/"),
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
            line=self._line,
            cancel=self._cancel,
            grace=_DPKG_GRACE,
        )

    def _line(self, text: str) -> None:
        self.output.append(text)
        verb, _, rest = text.partition(" ")
        if text.startswith("Waiting for cache lock"):
            self._show("waiting for another apt")
        elif verb.startswith("Get:"):  # the archive's address follows, which is not of interest here
            self._show("downloading")
        elif verb == "Unpacking":
            self._show("unpacking", rest.partition(" ")[0])
        elif text.startswith("Setting up "):
            self._show("setting up", rest.split()[1])

    def _show(self, phase: str, name: str = "") -> None:
        self._step.status = lambda: (phase, name)
