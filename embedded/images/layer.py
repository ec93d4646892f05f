"""What a layer is, and the two simple kinds: a skeleton of a root file system and one program."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from embedded.images.tree import pack
from slipway.core.report import Report

NONROOT: Final = 65532
"""The user that images run as; a number, because Kubernetes can't check a name against runAsNonRoot."""
_FORMAT: Final = 1
"""Counts changes of how layers are written, so that old ones are made again."""


class Layer(Protocol):
    """One part of an image, cached by what it is made of."""

    @property
    def name(self) -> str:
        """A word for a person."""

    def key(self) -> str:
        """Return the digest of the layer's inputs, fast and without building anything."""

    def write(self, out: BinaryIO, work: Path, report: Report) -> None:
        """Write the layer as a tar archive; `work` is an empty folder."""


def digest_of(*parts: object) -> str:
    """Return one digest of values that JSON can hold."""
    return hashlib.sha256(json.dumps([_FORMAT, *parts], sort_keys=True).encode()).hexdigest()


def lay_out(root: Path, files: Mapping[str, str | Path]) -> None:
    """Put text, or the content of a file, under `root` by relative path."""
    for name, content in files.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, target)
            shutil.copymode(content, target)
        else:
            target.write_text(content)


ROOT_FILES: Final[Mapping[str, str]] = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/sbin/nologin\n"
        f"nonroot:x:{NONROOT}:{NONROOT}:nonroot:/home/nonroot:/sbin/nologin\n"
    ),
    "etc/group": f"root:x:0:\nnonroot:x:{NONROOT}:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
ROOT_MODES: Final[Mapping[str, int]] = {"tmp": 0o1777, "home/nonroot": 0o777}


def make_root(root: Path) -> None:
    """Make what every image needs, whatever runs in it: users, a place for scratch files, a home."""
    lay_out(root, ROOT_FILES)
    for folder in ("tmp", "home/nonroot"):
        (root / folder).mkdir(parents=True)


@dataclass(frozen=True)
class RootLayer:
    """The root file system of a program that needs nothing else."""

    name: str = "root"

    def key(self) -> str:
        """See Layer."""
        return digest_of("root", dict(ROOT_FILES), dict(ROOT_MODES))

    def write(self, out: BinaryIO, work: Path, report: Report) -> None:
        """See Layer."""
        make_root(work)
        pack(work, out, modes=ROOT_MODES)


class Tool(Protocol):
    """A program that the toolchain builds."""

    def digest(self) -> str:
        """Return the digest of what it is built from."""

    def binary(self, report: Report) -> Path:
        """Return the program, built if need be."""


@dataclass(frozen=True)
class ToolLayer:
    """One static program at the root, named like the tool."""

    name: str
    tool: Tool

    def key(self) -> str:
        """See Layer."""
        return digest_of("tool", self.name, self.tool.digest())

    def write(self, out: BinaryIO, work: Path, report: Report) -> None:
        """See Layer."""
        lay_out(work, {self.name: self.tool.binary(report)})
        pack(work, out, modes={self.name: 0o755})
