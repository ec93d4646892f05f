"""The interface of a layer, and two simple kinds: a minimal root file system and a single program."""

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
"""The user of images; numeric, because Kubernetes can't verify runAsNonRoot for a name."""
_FORMAT: Final = 1
"""Version of the layer format; increase it to rebuild all layers."""


class Layer(Protocol):
    """A part of an image, cached by the digest of its inputs."""

    @property
    def name(self) -> str:
        """Name for messages."""

    def key(self) -> str:
        """Return the digest of the layer's inputs, quickly and without building anything."""

    def write(self, out: BinaryIO, work: Path, report: Report) -> None:
        """Write the layer as a tar archive; `work` is an empty working folder."""


def digest_of(*parts: object) -> str:
    """Return the digest of values that can be represented in JSON."""
    return hashlib.sha256(json.dumps([_FORMAT, *parts], sort_keys=True).encode()).hexdigest()


def lay_out(root: Path, files: Mapping[str, str | Path]) -> None:
    """Write texts or copies of files below `root`, by relative path."""
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
    """Create what every image needs: users, a folder for temporary files, a home."""
    lay_out(root, ROOT_FILES)
    for folder in ("tmp", "home/nonroot"):
        (root / folder).mkdir(parents=True)


@dataclass(frozen=True)
class RootLayer:
    """The root file system of an image with a single static program."""

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
        """Return the digest of its inputs."""

    def binary(self, report: Report) -> Path:
        """Return the program; build it if necessary."""


@dataclass(frozen=True)
class ToolLayer:
    """A static program in the root folder, with the name of the tool."""

    name: str
    tool: Tool

    def key(self) -> str:
        """See Layer."""
        return digest_of("tool", self.name, self.tool.digest())

    def write(self, out: BinaryIO, work: Path, report: Report) -> None:
        """See Layer."""
        lay_out(work, {self.name: self.tool.binary(report)})
        pack(work, out, modes={self.name: 0o755})
