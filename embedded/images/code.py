"""The layers with our own code: small, on top, and the only ones that change often."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from embedded.images.bytecode import compile_tree
from embedded.images.debian import python_version, release
from embedded.images.layer import digest_of, lay_out
from embedded.images.tree import pack
from embedded.images.wheels import PROJECT, site_packages
from slipway.core.report import Report


@dataclass(frozen=True)
class CodeLayer:
    """Packages and modules of this repository."""

    name: str
    paths: tuple[str, ...]

    def key(self) -> str:
        """See Layer."""
        content = {
            path.relative_to(PROJECT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self._files()
        }
        return digest_of("code", release(), content)

    def write(self, out: BinaryIO, work: Path, report: Report) -> None:
        """See Layer."""
        version = python_version()
        folder = site_packages(version)
        for path in self._files():
            target = work / folder / path.relative_to(PROJECT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        compile_tree(work / folder, f"/{folder}", version)
        pack(work, out)

    def _files(self) -> Iterator[Path]:
        for name in self.paths:
            path = PROJECT / name
            if path.is_file():
                yield path
            for folder, folders, files in os.walk(path):
                folders[:] = sorted(each for each in folders if each != "__pycache__")
                yield from (Path(folder, each) for each in sorted(files) if not each.startswith("."))


@dataclass(frozen=True)
class ProgramLayer:
    """A program of embedded/images/programs."""

    name: str

    @property
    def path(self) -> str:
        """Path of the file in the image, without the leading slash."""
        return f"usr/lib/slipway/{self.name}.py"

    def key(self) -> str:
        """See Layer."""
        return digest_of("program", self.path, self._source().read_text(encoding="utf-8"))

    def write(self, out: BinaryIO, work: Path, report: Report) -> None:
        """See Layer."""
        lay_out(work, {self.path: self._source()})
        pack(work, out)

    def _source(self) -> Path:
        return Path(__file__).with_name("programs") / f"{self.name}.py"
