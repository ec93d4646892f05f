"""Layers of Debian packages, taken from the machine's own package sources without debootstrap.

apt computes what a package needs against an empty status file; the packages are unpacked, never
configured: no maintainer script runs, and what scripts would have made we write ourselves.
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

_DROPPED: Final = (
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
    "usr/lib/python3*/lib-dynload/nis.*",  # needs Kerberos libraries, serves NIS
    "usr/sbin/*-config",
    "etc/cron*",
    "etc/logrotate.d/*",
    "etc/init.d/*",
    "*.a",
    "*.pyc",
)
"""What no container reads; licences stay."""
_KEPT: Final = "usr/share/doc/*/copyright"
_MERGED: Final = ("bin", "sbin", "lib", "lib64")
"""Folders that are links into usr/ since Debian 12."""


@dataclass(frozen=True)
class DebianLayer:
    """Debian packages and what they need, without what `lower` layers hold already."""

    name: str
    packages: tuple[str, ...]
    unneeded: tuple[str, ...] = ()
    """Dependencies that only maintainer scripts or unused parts of a package need."""
    lower: "DebianLayer | None" = None

    def key(self) -> str:
        """See Layer. Package versions are those of the day when the layer is made first."""
        lower = self.lower.key() if self.lower else None
        return digest_of("debian and bytecode", release(), self.packages, self.unneeded, _DROPPED, lower)

    def write(self, out: BinaryIO, work: Path, report: Report) -> None:
        """See Layer."""
        root, archives = work / "root", work / "archives"
        wanted = self.unpack(root, archives, report)
        status = root / "var/lib/dpkg/status.d"
        status.mkdir(parents=True)
        for archive in wanted:
            (status / archive.name.split("_")[0]).write_bytes(_run("dpkg-deb", "--field", str(archive)))
        if self.lower is None:
            make_root(root)
            _merge_usr(root)
            _join_certificates(root)
        for library in (root / "usr/lib").glob("python3.[0-9]*"):
            compile_tree(library, f"/usr/lib/{library.name}", library.name.removeprefix("python"))
        pack(root, out, modes=ROOT_MODES)

    def unpack(self, root: Path, archives: Path, report: Report) -> list[Path]:
        """Unpack the layer's packages under `root` and return their archives, by name."""
        below = self.lower.closure() if self.lower else frozenset[str]()
        wanted = self.closure() - below
        report(f"downloading {len(wanted)} Debian packages")
        (archives / "partial").mkdir(parents=True)
        _apt(archives.parent, *self.packages, download_to=archives)
        chosen = sorted(a for a in archives.glob("*.deb") if a.name.split("_")[0] in wanted)
        root.mkdir()
        for archive in chosen:
            _unpack(archive, root)
        return chosen

    def closure(self) -> frozenset[str]:
        """Return the names of the packages and everything they need."""
        lines = _apt(None, *self.packages).splitlines()
        found = frozenset(line.split()[1].split(":")[0] for line in lines if line.startswith("Inst "))
        lower = self.lower.closure() if self.lower else frozenset[str]()
        return (found | lower) - frozenset(self.unneeded)


def python_version() -> str:
    """Return the minor version, such as `3.11`, of the Python that this Debian release has."""
    policy = _run("apt-cache", "policy", "python3-minimal").decode()
    if found := re.search(r"Candidate: (\d+\.\d+)\.", policy):
        return found[1]
    raise UsageError(
        "apt knows no package python3-minimal.",
        why="Images of the local cluster are made from the Debian packages of this machine's release.",
        fix="Run `apt-get update`, or use the `kind` environment on a machine with Docker.",
    )


def release() -> str:
    """Name the distribution's release; the machine's file is read once per call and is tiny."""
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return "unknown"
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    return f"{fields.get('ID')} {fields.get('VERSION_CODENAME')}".replace('"', "")


def _apt(work: Path | None, *packages: str, download_to: Path | None = None) -> str:
    """Have apt resolve `packages` on an empty machine, or download them to a folder."""
    command = [
        "apt-get",
        "install",
        "--yes",
        "--no-install-recommends",
        "--option=Dir::State::status=/dev/null",
        "--option=Dir::Cache::pkgcache=",  # the machine's own cache belongs to its own status
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
        _run("apt-get", "update")  # a machine whose package lists are missing or too old
        return _run(*command, *packages).decode()


def _run(*command: str) -> bytes:
    try:
        done = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise UsageError(
            f"This machine has no `{command[0]}`.",
            why="Images of the local cluster are made from Debian packages.",
            fix="Use Debian 12 or newer, or the `kind` environment on a machine with Docker.",
        ) from error
    if done.returncode:
        raise FailedError(
            f"`{command[0]} {command[1]}` failed.",
            why=done.stderr.decode(errors="replace").strip()[-500:],
            fix="Mend the machine's package sources and run the command again.",
        )
    return done.stdout


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
            elif source := members.extractfile(member):  # of a hard link this is its target's content
                target.write_bytes(source.read())
                target.chmod(member.mode & 0o777)


def _merged(path: PurePosixPath) -> str:
    parts = [part for part in path.parts if part != "."]
    return "/".join(["usr", *parts] if parts and parts[0] in _MERGED else parts)


def _is_dropped(name: str) -> bool:
    return not fnmatch(name, _KEPT) and any(fnmatch(name, pattern) for pattern in _DROPPED)


def _merge_usr(root: Path) -> None:
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")


def _join_certificates(root: Path) -> None:
    """Write the bundle that the package's script would have written."""
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    found = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle.write_bytes(b"".join(certificate.read_bytes() for certificate in found))
