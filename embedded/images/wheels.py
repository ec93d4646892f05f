"""Layers of locked Python dependencies, split so that images can share common packages."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import BinaryIO, Final

from embedded.images.bytecode import compile_tree
from embedded.images.debian import python_version, release
from embedded.images.layer import digest_of
from embedded.images.oci import architecture
from embedded.images.tree import pack
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report

PROJECT: Final = Path(__file__).parents[2]
_PLATFORMS: Final = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
_SOURCE_ONLY: Final = ("kfp-server-api",)
"""Packages without a wheel. They are pure Python; the hash of their source is locked."""
_EXCLUDED: Final = (
    "bin/*",
    "*/tests/*",
    "*/__pycache__/*",
    "*.pyi",
    "*.pyx",
    "*.pxd",
    "numpy/_core/include/*",
    "Crypto/SelfTest/*",
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/WHEEL",
    "*.dist-info/uv_cache.json",
    "*.dist-info/sboms/*",
)
"""Files for building and testing, and metadata of the installation."""


@dataclass(frozen=True)
class Requirements:
    """Dependency groups of pyproject.toml that an image installs."""

    groups: tuple[str, ...]
    without: tuple[str, ...] = ()
    """Locked packages that the image never imports."""

    def key(self) -> str:
        """Return the digest of the entries of these groups in the lock."""
        return digest_of(self.groups, self.without, _locked(self.groups))

    def lines(self) -> frozenset[str]:
        """Return a requirement with hashes for each package."""
        selection = [f"--only-group={group}" for group in self.groups]
        text = _uv("export", "--frozen", "--no-annotate", "--no-header", *selection)
        requirements = re.split(r"\n(?=\S)", text.strip())
        return frozenset(line for line in requirements if line.split("==")[0] not in self.without)


@dataclass(frozen=True)
class WheelsLayer:
    """The dependencies that two images share, or those of the first image that the second does not have."""

    name: str
    requirements: Requirements
    other: Requirements
    shared: bool

    def key(self) -> str:
        """See Layer."""
        return digest_of(
            "wheels",
            release(),
            architecture(),
            self.requirements.key(),
            self.other.key(),
            self.shared,
            _EXCLUDED,
        )

    def write(self, out: BinaryIO, work: Path, report: Report) -> None:
        """See Layer."""
        own, others = self.requirements.lines(), self.other.lines()
        selected = sorted(own & others if self.shared else own - others)
        version = python_version()
        folder = site_packages(version)
        target = work / folder
        report(f"installing {len(selected)} locked Python packages")
        _install(selected, target, version, work.parent / "requirements.txt")
        _strip(target)
        compile_tree(target, f"/{folder}", version)
        pack(work, out)


def site_packages(version: str) -> str:
    """Return the folder of Debian's Python for packages that are not from Debian."""
    return f"usr/local/lib/python{version}/dist-packages"


def _install(requirements: list[str], target: Path, version: str, listed: Path) -> None:
    listed.write_text("\n".join(requirements) + "\n")
    choice = [f"--no-binary={name}" for name in _SOURCE_ONLY if any(r.startswith(name) for r in requirements)]
    _uv(
        "pip",
        "install",
        f"--target={target}",
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
        *choice,
        f"--python-version={version}",
        f"--python-platform={_PLATFORMS[architecture()]}",
        "--no-compile-bytecode",
        "--link-mode=copy",  # the files of the cache must not be modified
        f"--requirements={listed}",
    )


def _strip(target: Path) -> None:
    for path in sorted(target.rglob("*"), reverse=True):
        name = path.relative_to(target).as_posix()
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif name == ".lock" or any(fnmatch(name, pattern) for pattern in _EXCLUDED):
            path.unlink()


def _uv(*arguments: str) -> str:
    program = shutil.which("uv") or shutil.which("uv", path=f"{sys.prefix}/bin")
    if program is None:
        raise UsageError(
            "The command `uv` is missing on this machine.",
            why="It installs the images' Python packages, with the hashes in uv.lock.",
            fix="Run `make install`, which installs it into the project's environment.",
        )
    command = [program, "--no-progress", "--quiet", *arguments]
    completed = subprocess.run(command, check=False, capture_output=True, text=True, cwd=PROJECT)
    if completed.returncode:
        raise FailedError(
            f"`uv {arguments[0]}` failed.",
            why=completed.stderr.strip()[-500:],
            fix="Check that the package index is reachable and run the command again.",
        )
    return completed.stdout


@cache
def _packages(lock: str) -> dict[str, list[str]]:
    """Split a lock into its packages by name; a name can have several versions.

    Uses regular expressions because a TOML parser takes a quarter of a second for half a megabyte, and every
    call of `reference` needs this.
    """
    blocks: dict[str, list[str]] = {}
    for block in lock.split("[[package]]\n")[1:]:
        blocks.setdefault(re.findall(r'^name = "(.+)"', block, re.MULTILINE)[0], []).append(block)
    return blocks


def _locked(groups: tuple[str, ...]) -> list[str]:
    """Return the lock's entries of the groups' packages and all their dependencies."""
    packages = _packages((PROJECT / "uv.lock").read_text(encoding="utf-8"))
    project = packages["slipway"][0]
    development = project.partition("[package.dev-dependencies]")[2].partition("[package.metadata]")[0]
    pending = [name for group in groups for name in _names_of(development, group)]
    seen: dict[str, list[str]] = {}
    while pending:
        name = pending.pop()
        if name not in seen:
            seen[name] = packages[name]
            pending += [dependency for block in seen[name] for dependency in _references(block)]
    return [block for name in sorted(seen) for block in seen[name]]


def _names_of(section: str, group: str) -> list[str]:
    listed = re.search(rf"^{re.escape(group)} = \[\n(.*?)^\]", section, re.MULTILINE | re.DOTALL)
    return list(_references(listed[1])) if listed else []


def _references(text: str) -> Iterator[str]:
    """Yield the packages that a part of the lock refers to, including those of unused extras."""
    return (
        match[1] for match in re.finditer(r'\{ name = "([^"]+)"', text.partition("[package.metadata]")[0])
    )
