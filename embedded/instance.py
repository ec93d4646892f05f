"""A local cluster per clone: its folders, addresses and ports, all derived from its name.

Clusters of two clones must never conflict, so everything that could (network namespace, link, cgroup,
folders, address slice, ports) is derived from the instance's name. Only address slices are scarce:
198.18.0.0/15 (RFC 2544: never routed on the internet) contains 32 of them. The first use allocates the
preferred slice or the next free one and records it. The record is permanent, because the cluster's stored
objects contain its addresses.

Deliberately not here: anything that needs root or changes the network (embedded/cluster).
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from embedded.addresses import RANGE, SLICES, Addresses, Ports
from embedded.occupancy import holder_of
from slipway.core import atomic_files
from slipway.core.errors import FailedError, UsageError
from slipway.core.locks import locked

DATA_ROOT: Final = Path("/var/lib/slipway")
RUN_ROOT: Final = Path("/run/slipway")
_NAME: Final = re.compile(r"[a-z]([a-z0-9-]{0,22}[a-z0-9])?")


class Allocation(BaseModel):
    """`instance.json`: the allocation of the first use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    slice: int = Field(ge=0, lt=SLICES)


HolderOf = Callable[[int], str | None]
"""Returns what uses a slice's addresses or ports (`port 20003: nginx`), or None if it is free."""


@dataclass(frozen=True)
class Instance:
    """The name of a local cluster and the values derived from it. Creating an object has no side effects."""

    name: str
    data_root: Path = DATA_ROOT
    run_root: Path = RUN_ROOT

    def __post_init__(self) -> None:
        """Raise UsageError unless the name is valid for a namespace, a cgroup, a node and a folder."""
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} is not a valid name of a local cluster.",
                why="Names are 1 to 24 lower-case letters, digits and hyphens, starting with a letter.",
                fix="Set SLIPWAY_INSTANCE to a name such as 'slw-mine', or unset it.",
            )

    @property
    def data(self) -> Path:
        """Persistent data: state of the cluster, volumes, keys, logs (0700)."""
        return self.data_root / self.name

    @property
    def run(self) -> Path:
        """Sockets and pid files; short, because the path of a Unix socket is limited to 107 bytes."""
        return self.run_root / self.name

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of the cluster administrator, for use on the machine (0600)."""
        return self.data / "kubeconfig"

    @property
    def containerd_socket(self) -> Path:
        """Socket of the instance's containerd."""
        return self.run / "containerd.sock"

    @property
    def log(self) -> Path:
        """Folder of the log files, one per process."""
        return self.data / "log"

    @property
    def node_name(self) -> str:
        """The name of the only node."""
        return self.name

    @property
    def network_namespace(self) -> Path:
        """The cluster's network namespace, for `nsenter --net=…`.

        Not in /run/netns: `ip netns add` by another program mounts over that folder and hides ours.
        """
        return self.run / "netns"

    @property
    def host_link(self) -> str:
        """The machine's end of the veth pair; hashed, because link names are limited to 15 bytes."""
        return f"slw{_digest(self.name)[:8]}"

    @property
    def number(self) -> int:
        """The slice's number; the first use allocates and records it."""
        return self.allocate().slice

    @property
    def addresses(self) -> Addresses:
        """The instance's address slice; the first use allocates it."""
        return Addresses.of(self.number)

    @property
    def ports(self) -> Ports:
        """The instance's ports on 127.0.0.1; the first use allocates them."""
        return Ports.of(self.number)

    def recorded(self) -> Allocation | None:
        """The record of an earlier allocation, or None; changes nothing."""
        path = self.data / "instance.json"
        try:
            return Allocation.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise UsageError(
                f"The local cluster {self.name} belongs to root.",
                why=f"{path} can't be read.",
                fix="Run as root, or use the `dev` environment with an existing cluster.",
            ) from error
        except ValidationError as error:
            raise FailedError(
                f"{path} is damaged.",
                why="It must contain the instance's name and slice.",
                fix=f"Remove the local cluster with its data: `rm -r {self.data}` once it is stopped.",
            ) from error

    def allocate(self, holder: HolderOf | None = None) -> Allocation:
        """Return the recorded slice, or allocate a free one and record it.

        Args:
            holder: Returns what uses a slice; by default the machine's routes, addresses and ports.

        Raises:
            UsageError: Every slice is in use, or the folder can't be written.
        """
        record = self.recorded()
        if record is not None:
            return record
        with _locked(self.data_root, self.name):
            record = self.recorded()
            if record is None:
                record = Allocation(name=self.name, slice=self._free_slice(holder or _holder_on_this_machine))
                atomic_files.replace(
                    self.data / "instance.json", record.model_dump_json() + "\n", mode=atomic_files.PRIVATE
                )
        return record

    def _free_slice(self, holder_of_slice: HolderOf) -> int:
        others = {
            record.slice: record.name for record in _allocations(self.data_root) if record.name != self.name
        }
        holders: list[str] = []
        for number in candidates(self.name):
            holder = f"instance {others[number]}" if number in others else holder_of_slice(number)
            if holder is None:
                return number
            holders.append(f"{Addresses.of(number).slice} ({holder})")
        raise UsageError(
            f"There is no free address slice in {RANGE} for the local cluster {self.name}.",
            why=f"In use: {', '.join(holders[:4])} and {len(holders) - 4} more.",
            fix="Delete a local cluster that is no longer needed: `slipway local delete` in its clone.",
        )


def current() -> Instance:
    """The instance of this clone: `$SLIPWAY_INSTANCE`, or a name derived from the checkout's path."""
    checkout = Path(__file__).resolve().parents[1]
    return Instance(os.environ.get("SLIPWAY_INSTANCE") or f"slw-{_digest(str(checkout))[:8]}")


def candidates(name: str) -> Iterator[int]:
    """All slices, starting with the preferred one of `name`."""
    preferred = int(_digest(name), 16) % SLICES
    return ((preferred + step) % SLICES for step in range(SLICES))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _holder_on_this_machine(number: int) -> str | None:
    return holder_of(Addresses.of(number), Ports.of(number))


def _allocations(root: Path) -> Iterator[Allocation]:
    for path in sorted(root.glob("*/instance.json")):
        try:
            yield Allocation.model_validate_json(path.read_bytes())
        except (ValidationError, FileNotFoundError):
            continue


@contextmanager
def _locked(root: Path, name: str) -> Iterator[None]:
    """Lock the folder of all instances, so that concurrent first uses don't allocate the same slice."""
    try:
        root.mkdir(mode=0o755, parents=True, exist_ok=True)
        (root / name).mkdir(mode=0o700, exist_ok=True)
    except PermissionError as error:
        raise UsageError(
            f"This user can't create the local cluster {name}.",
            why=f"Its data is in {root}, which requires root.",
            fix="Run as root, or use the `dev` environment with an existing cluster.",
        ) from error
    with locked(root, folder=True):
        yield
