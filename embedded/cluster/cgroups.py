"""The cgroups of one instance: how every process it started is found, measured and ended.

A supervisor can be killed and a containerd-shim belongs to nobody, so process tables lie; the
cgroup is the one list that a process can't leave by forking. Layout, in each hierarchy used:

    <name>/system    the supervisor, the components, the shims
    <name>/pods      one group per container, made by runc

cgroup v1 is what this was measured on (2026-11-22). The v2 branch follows the kernel's rules (no
processes in inner groups, controllers switched on from above) but has only unit tests.
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

from slipway.core.errors import UsageError
from slipway.core.waiting import poll, tries

NEEDED: Final = ("pids", "memory")
V2_NEEDED: Final = ("cpu", "memory", "pids")
V2_WANTED: Final = {*V2_NEEDED, "cpuset", "hugetlb", "io"}
"""The kubelet takes a v2 group for missing if one of these is in the machine's root but not in it."""
USE_KIND: Final = "Use environment `kind` (not in this release yet) or `dev`, on a cluster that exists."


@dataclass(frozen=True)
class Hierarchies:
    """Where this machine mounts its cgroups."""

    unified: bool
    mounts: dict[str, Path]
    """By controller for v1 (and `unified` for a hybrid's extra tree); only `unified` for v2."""

    @classmethod
    def of_this_machine(cls, mountinfo: Path = Path("/proc/self/mountinfo")) -> "Hierarchies":
        """Read the mount table.

        Raises:
            UsageError: neither v1 with pids and memory nor v2 is mounted.
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
            "The local cluster can't run here: this machine offers no usable cgroups.",
            why="The kubelet needs the controllers cpu, memory and pids mounted and writable.",
            fix=USE_KIND,
        )


@dataclass(frozen=True)
class Cgroups:
    """The groups of the instance `name`."""

    name: str
    hierarchies: Hierarchies

    @classmethod
    def of(cls, name: str) -> "Cgroups":
        """The instance's groups on this machine, made or not."""
        return cls(name, Hierarchies.of_this_machine())

    @property
    def pods_root(self) -> str:
        """What the kubelet calls its `cgroupRoot`."""
        return f"/{self.name}/pods"

    def make(self) -> None:
        """Make the groups that the components start in.

        Raises:
            UsageError: the machine shows cgroups but lets nobody make one.
        """
        try:
            for root in self._own_roots():
                (root / self.name / "system").mkdir(parents=True, exist_ok=True)
            # The kubelet wants its root to be there in every hierarchy.
            for root in set(self.hierarchies.mounts.values()):
                (root / self.name / "pods").mkdir(parents=True, exist_ok=True)
            if self.hierarchies.unified:
                root = self.hierarchies.mounts["unified"]
                switch = " ".join(f"+{name}" for name in sorted(_controllers(root) & V2_WANTED))
                for group in (root, root / self.name, root / self.name / "pods"):
                    (group / "cgroup.subtree_control").write_text(switch)
            elif cpuset := self.hierarchies.mounts.get("cpuset"):
                self._allow_all_cpus(cpuset)
        except OSError as error:
            raise UsageError(
                "The local cluster can't run here: this machine's cgroups can't be written.",
                why=f"{error.filename}: {error.strerror}.",
                fix=USE_KIND,
            ) from error

    def join(self, pid: int) -> None:
        """Move a process, and so whatever it starts from now on, into the instance."""
        for root in self._own_roots():
            (root / self.name / "system" / "cgroup.procs").write_text(str(pid))

    def pids(self, part: str = "") -> set[int]:
        """Every process of the instance, or of its part `system` or `pods`."""
        found: set[int] = set()
        for root in set(self.hierarchies.mounts.values()):
            for folder, _, _ in os.walk(root / self.name / part):
                with contextlib.suppress(OSError):
                    found.update(int(pid) for pid in Path(folder, "cgroup.procs").read_text().split())
        return found

    def kill(self, number: signal.Signals = signal.SIGKILL, *, part: str = "") -> None:
        """Send a signal to every process of the instance, by pid."""
        for pid in self.pids(part) - {os.getpid()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self, *, part: str = "", timeout: float = 10.0) -> bool:
        """Kill until nothing is left; a process may fork while it is being killed."""
        return poll(
            lambda: not self.pids(part) - {os.getpid()},
            seconds=timeout,
            interval=0.02,
            meanwhile=lambda _: self.kill(part=part),
        )

    def exists(self) -> bool:
        """Whether any group of the instance is there."""
        return any((root / self.name).is_dir() for root in self.hierarchies.mounts.values())

    def remove(self, timeout: float = 5.0) -> None:
        """Remove every group of the instance in every hierarchy; the kernel takes a moment to let go.

        A process that joined since `end` is killed: the supervisor of a start that was interrupted may
        have been about to.
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
        """Anonymous memory in use, in bytes: what the machine can't take back without swap."""
        root = self.hierarchies.mounts["unified" if self.hierarchies.unified else "memory"]
        key = "anon" if self.hierarchies.unified else "total_rss"
        try:
            lines = (root / self.name / part / "memory.stat").read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.split()[0] == key), 0)

    def _allow_all_cpus(self, root: Path) -> None:
        """A new v1 cpuset is empty and takes no process; give ours what its parent has."""
        for group in (root / self.name, root / self.name / "pods"):
            for knob in ("cpuset.cpus", "cpuset.mems"):
                (group / knob).write_text((group.parent / knob).read_text())

    def _own_roots(self) -> Iterator[Path]:
        """The hierarchies that the supervisor and the components themselves are in."""
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
