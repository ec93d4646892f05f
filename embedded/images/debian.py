"""Layers of Debian packages from the machine's package sources, without debootstrap.

apt resolves the dependencies with an empty status file. The packages are unpacked but not configured: no
maintainer script runs, and this module writes the files that scripts would have created.
"""

import io
import re
import subprocess
import tarfile
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from embedded.images.bytecode import compile_tree
from embedded.images.layer import ROOT_MODES, digest_of, make_root
from embedded.images.tree import pack
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import Report

_EXCLUDED: Final = (
    "usr/share/doc/*",
    "usr/share/man/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/lintian/*",
    "usr/share/bug/*",
    "usr/share/bash-completion/*",
    "usr/share/python3/*",
    "usr/lib/*/gconv/*",
    "usr/lib/python3*/test/*",
    "usr/lib/python3*/idlelib/*",
    "usr/lib/python3*/lib-dynload/nis.*",  # requires Kerberos libraries; only for NIS
    "usr/sbin/*-config",
    "etc/cron*",
    "etc/logrotate.d/*",
    "etc/init.d/*",
    "*.a",
    "*.pyc",
)
"""Files that no container needs; licences are kept."""
_KEPT: Final = "usr/share/doc/*/copyright"
_MERGED: Final = ("bin", "sbin", "lib", "lib64")
"""Folders that are symbolic links into usr/ since Debian 12."""


@dataclass(frozen=True)
class DebianLayer:
    """Debian packages with their dependencies, except those in the `lower` layers."""

    name: str
    packages: tuple[str, ...]
    unneeded: tuple[str, ...] = ()
    """Dependencies that are only needed by maintainer scripts or unused parts of a package."""
    lower: "DebianLayer | None" = None

    def key(self) -> str:
        """See Layer. The package versions are those available when the layer is first built."""
        lower = self.lower.key() if self.lower else None
        return digest_of("debian and bytecode", release(), self.packages, self.unneeded, _EXCLUDED, lower)

    def write(self, out: BinaryIO, work: Path, report: Report) -> None:
        """See Layer."""
        root, archives = work / "root", work / "archives"
        unpacked = self.unpack(root, archives, report)
        status = root / "var/lib/dpkg/status.d"
        status.mkdir(parents=True)
        for archive in unpacked:
            (status / archive.name.split("_")[0]).write_bytes(_run("dpkg-deb", "--field", str(archive)))
        if self.lower is None:
            make_root(root)
            _merge_usr(root)
            _join_certificates(root)
        for library in (root / "usr/lib").glob("python3.[0-9]*"):
            compile_tree(library, f"/usr/lib/{library.name}", library.name.removeprefix("python"))
        pack(root, out, modes=ROOT_MODES)

    def unpack(self, root: Path, archives: Path, report: Report) -> list[Path]:
        """Unpack the layer's packages into `root`; return their archives, sorted by name."""
        in_lower = self.lower.closure() if self.lower else frozenset[str]()
        names = self.closure() - in_lower
        report(f"downloading {len(names)} Debian packages")
        (archives / "partial").mkdir(parents=True)
        _apt(archives.parent, *self.packages, download_to=archives)
        selected = sorted(a for a in archives.glob("*.deb") if a.name.split("_")[0] in names)
        root.mkdir()
        for archive in selected:
            _unpack(archive, root)
        return selected

    def closure(self) -> frozenset[str]:
        """Return the names of the packages and all their dependencies."""
        lines = _apt(None, *self.packages).splitlines()
        installed = frozenset(line.split()[1].split(":")[0] for line in lines if line.startswith("Inst "))
        lower = self.lower.closure() if self.lower else frozenset[str]()
        return (installed | lower) - frozenset(self.unneeded)


def python_version() -> str:
    """Return the minor version, such as `3.11`, of the Python in this Debian release."""
    policy = _run("apt-cache", "policy", "python3-minimal").decode()
    if match := re.search(r"Candidate: (\d+\.\d+)\.", policy):
        return match[1]
    raise UsageError(
        "apt has no package python3-minimal.",
        why="Images of the local cluster are built from the Debian packages of this machine's release.",
        fix="Run `apt-get update`, or use the `dev` environment with an existing cluster.",
    )


def release() -> str:
    """Return the name of the distribution's release."""
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return "unknown"
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    return f"{fields.get('ID')} {fields.get('VERSION_CODENAME')}".replace('"', "")


def _apt(work: Path | None, *packages: str, download_to: Path | None = None) -> str:
    """Have apt resolve `packages` as if nothing were installed, or download them to a folder."""
    command = [
        "apt-get",
        "install",
        "--yes",
        "--no-install-recommends",
        "--option=Dir::State::status=/dev/null",
        "--option=Dir::Cache::pkgcache=",  # the machine's cache belongs to its own status file
        "--option=Debug::NoLocking=1",
        "--option=APT::Sandbox::User=root",
        "--option=Acquire::Retries=3",
    ]
    if download_to:
        command += ["--download-only", f"--option=Dir::Cache::archives={download_to}/"]
    else:
        command += ["--simulate"]
    try:
        return _run(*command, *packages).decode()
    except FailedError:
        _run("apt-get", "update")  # the package lists may be missing or outdated
        return _run(*command, *packages).decode()


def _run(*command: str) -> bytes:
    try:
        completed = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise UsageError(
            f"The command `{command[0]}` is missing on this machine.",
            why="Images of the local cluster are built from Debian packages.",
            fix="Use Debian 12 or newer, or the `dev` environment with an existing cluster.",
        ) from error
    if completed.returncode:
        raise FailedError(
            f"`{command[0]} {command[1]}` failed.",
            why=completed.stderr.decode(errors="replace").strip()[-500:],
            fix="Fix the machine's package sources and run the command again.",
        )
    return completed.stdout


def _unpack(archive: Path, root: Path) -> None:
    content = io.BytesIO(_run("dpkg-deb", "--fsys-tarfile", str(archive)))
    with tarfile.open(fileobj=content) as members:
        for member in members:
            name = _merged(PurePosixPath(member.name))
            if member.isdir() or _is_dropped(name):
                continue
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if member.issym():
                target.symlink_to(member.linkname)
            elif source := members.extractfile(member):  # for a hard link, the content of its target
                target.write_bytes(source.read())
                target.chmod(member.mode & 0o777)


def _merged(path: PurePosixPath) -> str:
    parts = [part for part in path.parts if part != "."]
    return "/".join(["usr", *parts] if parts and parts[0] in _MERGED else parts)


def _is_dropped(name: str) -> bool:
    return not fnmatch(name, _KEPT) and any(fnmatch(name, pattern) for pattern in _EXCLUDED)


def _merge_usr(root: Path) -> None:
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")


def _join_certificates(root: Path) -> None:
    """Write the CA bundle that the package's maintainer script would have created."""
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    files = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle.write_bytes(b"".join(certificate.read_bytes() for certificate in files))
