"""The cgroups of an instance: find, measure and kill every process that it started.

The parent of a process is not reliable: a supervisor can be killed, and a containerd-shim has no parent
in the cluster. A process can't leave its cgroup by forking. Layout, in each hierarchy used:

    <name>/system    the supervisor, the components, the shims
    <name>/pods      one group per container, made by runc

This was tested with cgroup v1 (2026-11-22). The code for v2 follows the kernel's rules (no processes in
inner groups, controllers enabled from the top), but has only unit tests.
"""

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from embedded import USE_DEV
from slipway.core.errors import UsageError
from slipway.core.waiting import poll, tries

NEEDED: Final = ("pids", "memory")
V2_NEEDED: Final = ("cpu", "memory", "pids")
V2_ENABLED: Final = {*V2_NEEDED, "cpuset", "hugetlb", "io"}
"""The kubelet treats a v2 group as missing if it does not have each of these that the root group has."""


@dataclass(frozen=True)
class Hierarchies:
    """The mount points of this machine's cgroups."""

    unified: bool
    mounts: dict[str, Path]
    """v1: by controller (and `unified` in hybrid mode); v2: only `unified`."""

    @classmethod
    def of_this_machine(cls, mountinfo: Path = Path("/proc/self/mountinfo")) -> "Hierarchies":
        """Read the mount table.

        Raises:
            UsageError: Neither v1 with pids and memory nor v2 is mounted.
        """
        mounts: dict[str, Path] = {}
        for line in mountinfo.read_text().splitlines():
            head, _, tail = line.partition(" - ")
            kind, _, options = tail.split(maxsplit=2)
            if kind == "cgroup2":
                mounts["unified"] = Path(head.split()[4])
            elif kind == "cgroup":
                for option in options.split(","):
                    mounts.setdefault(option, Path(head.split()[4]))
        if all(controller in mounts for controller in NEEDED):
            return cls(unified=False, mounts={k: v for k, v in mounts.items() if k not in ("rw", "ro")})
        if "unified" in mounts and _controllers(mounts["unified"]).issuperset(V2_NEEDED):
            return cls(unified=True, mounts={"unified": mounts["unified"]})
        raise UsageError(
            "The local cluster can't run here: this machine has no usable cgroups.",
            why="The kubelet needs the controllers cpu, memory and pids mounted and writable.",
            fix=USE_DEV,
        )


@dataclass(frozen=True)
class Cgroups:
    """The groups of the instance `name`."""

    name: str
    hierarchies: Hierarchies

    @classmethod
    def of(cls, name: str) -> "Cgroups":
        """The instance's groups on this machine, whether they exist or not."""
        return cls(name, Hierarchies.of_this_machine())

    @property
    def pods_root(self) -> str:
        """The value of the kubelet's `cgroupRoot`."""
        return f"/{self.name}/pods"

    def make(self) -> None:
        """Create the groups that the components start in.

        Raises:
            UsageError: The machine's cgroups are not writable.
        """
        try:
            for root in self._own_roots():
                (root / self.name / "system").mkdir(parents=True, exist_ok=True)
            # The kubelet requires its root in every hierarchy.
            for root in set(self.hierarchies.mounts.values()):
                (root / self.name / "pods").mkdir(parents=True, exist_ok=True)
            if self.hierarchies.unified:
                root = self.hierarchies.mounts["unified"]
                controllers = " ".join(f"+{name}" for name in sorted(_controllers(root) & V2_ENABLED))
                for group in (root, root / self.name, root / self.name / "pods"):
                    (group / "cgroup.subtree_control").write_text(controllers)
            elif cpuset := self.hierarchies.mounts.get("cpuset"):
                self._allow_all_cpus(cpuset)
        except OSError as error:
            raise UsageError(
                "The local cluster can't run here: this machine's cgroups can't be written.",
                why=f"{error.filename}: {error.strerror}.",
                fix=USE_DEV,
            ) from error

    def join(self, pid: int) -> None:
        """Move a process, and thereby its future descendants, into the instance."""
        for root in self._own_roots():
            (root / self.name / "system" / "cgroup.procs").write_text(str(pid))

    def pids(self, part: str = "") -> set[int]:
        """The processes of the instance, or of its part `system` or `pods`."""
        pids: set[int] = set()
        for root in set(self.hierarchies.mounts.values()):
            for folder, _, _ in os.walk(root / self.name / part):
                with contextlib.suppress(OSError):
                    pids.update(int(pid) for pid in Path(folder, "cgroup.procs").read_text().split())
        return pids

    def kill(self, number: signal.Signals = signal.SIGKILL, *, part: str = "") -> None:
        """Send a signal to every process of the instance, by pid."""
        for pid in self.pids(part) - {os.getpid()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self, *, part: str = "", timeout: float = 10.0) -> bool:
        """Kill until no process is left, because processes may fork meanwhile; return whether none is."""
        return poll(
            lambda: not self.pids(part) - {os.getpid()},
            seconds=timeout,
            interval=0.02,
            meanwhile=lambda _: self.kill(part=part),
        )

    def exists(self) -> bool:
        """Whether any group of the instance exists."""
        return any((root / self.name).is_dir() for root in self.hierarchies.mounts.values())

    def remove(self, timeout: float = 5.0) -> None:
        """Remove the groups of the instance in every hierarchy; retries because the kernel needs a moment.

        Processes that joined since `end`, such as the supervisor of an interrupted start, are killed.
        """
        deadline = time.monotonic() + timeout
        for root in set(self.hierarchies.mounts.values()):
            for folder, _, _ in os.walk(root / self.name, topdown=False):
                for last in tries(deadline - time.monotonic(), interval=0.02):
                    try:
                        Path(folder).rmdir()
                    except FileNotFoundError:
                        break
                    except OSError as error:
                        if error.errno != errno.EBUSY or last:
                            raise
                        self.kill()
                    else:
                        break

    def memory(self, part: str = "") -> int:
        """Anonymous memory in bytes, which can't be reclaimed without swap."""
        root = self.hierarchies.mounts["unified" if self.hierarchies.unified else "memory"]
        key = "anon" if self.hierarchies.unified else "total_rss"
        try:
            lines = (root / self.name / part / "memory.stat").read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.split()[0] == key), 0)

    def _allow_all_cpus(self, root: Path) -> None:
        """Copy the CPUs and memory nodes of the parent: a new v1 cpuset is empty and accepts no process."""
        for group in (root / self.name, root / self.name / "pods"):
            for setting in ("cpuset.cpus", "cpuset.mems"):
                (group / setting).write_text((group.parent / setting).read_text())

    def _own_roots(self) -> Iterator[Path]:
        """The hierarchies of the supervisor and the components."""
        mounts = self.hierarchies.mounts
        if self.hierarchies.unified:
            yield mounts["unified"]
        else:
            yield from {mounts[controller]: None for controller in NEEDED}


def _controllers(root: Path) -> set[str]:
    try:
        return set((root / "cgroup.controllers").read_text().split())
    except OSError:
        return set()
