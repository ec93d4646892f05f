"""The Go on this machine: found, checked, and run so that only what is pinned is compiled."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from embedded.toolchain.tools import TOOLS, Tool
from slipway.core.errors import UsageError

_USUAL_PLACES = ("/usr/local/go/bin", "/usr/lib/go/bin")
_INSTALL = (
    "Install Go {version} or newer from https://go.dev/dl/ (unpacked to /usr/local/go it is found), "
    "or a golang package of your distribution that is new enough, and run the command again."
)


@dataclass(frozen=True)
class Go:
    """A usable Go command."""

    command: Path
    version: str
    architecture: str
    switches: bool
    """Whether it may fetch the toolchain that a go.mod asks for (GOTOOLCHAIN is not `local`)."""

    def builds(self, tool: Tool) -> bool:
        """Whether it can build the tool, itself or with a toolchain it fetches."""
        return _number(self.version) >= _number(tool.go_version) or self.switches

    def version_for(self, tool: Tool) -> str:
        """The Go that will really compile the tool; part of the digest."""
        return max(self.version, tool.go_version, key=_number)


def minimum() -> str:
    """The oldest Go that builds every tool."""
    return max((tool.go_version for tool in TOOLS.values()), key=_number)


def find(tools: tuple[Tool, ...] = ()) -> Go:
    """Find a Go that can build the given tools.

    Raises:
        UsageError: There is none, or it is too old.
    """
    command = _command()
    if command is None:
        raise UsageError(
            "Go is not installed.",
            why="Kubernetes, etcd, MinIO and others are built from source, and there is no `go` on PATH.",
            fix=_INSTALL.format(version=minimum()),
        )
    go = _ask(command)
    too_new = [tool for tool in tools if not go.builds(tool)]
    if too_new:
        names = ", ".join(tool.name for tool in too_new)
        needed = max((tool.go_version for tool in too_new), key=_number)
        raise UsageError(
            f"Go {go.version} is too old.",
            why=f"{command} can't build {names}: that needs Go {needed}.",
            fix=_INSTALL.format(version=minimum()),
        )
    return go


def go_command() -> Path | None:
    """Return the Go command, or None if there is none that works."""
    try:
        return find().command
    except UsageError:
        return None


def _command() -> Path | None:
    for path in (None, os.pathsep.join(_USUAL_PLACES)):
        command = shutil.which("go", path=path)
        if command:
            return Path(command).absolute()
    return None


def _ask(command: Path) -> Go:
    # Asked outside any module: inside one, Go might fetch another toolchain just to answer.
    answer = subprocess.run(
        [command, "env", "-json", "GOVERSION", "GOHOSTARCH", "GOTOOLCHAIN"],
        cwd="/",
        env={**os.environ, "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    try:
        settings = json.loads(answer.stdout)
        version = str(settings["GOVERSION"]).split()[0].removeprefix("go")
        _number(version)
        architecture = str(settings["GOHOSTARCH"])
    except (ValueError, KeyError, IndexError):
        raise UsageError(
            "The Go on this machine doesn't work.",
            why=f"`{command} env` answered: {(answer.stderr or answer.stdout).strip()[:300] or 'nothing'}",
            fix=_INSTALL.format(version=minimum()),
        ) from None
    return Go(command, version, architecture, settings.get("GOTOOLCHAIN") not in {None, "", "local"})


def _number(version: str) -> tuple[int, ...]:
    parts = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    if not parts:
        raise ValueError(version)
    return tuple(int(part or 0) for part in parts.groups())


def environment(go: Go, scratch: Path | None = None) -> dict[str, str]:
    """The environment of Go: the user's GOFLAGS, GOPROXY and caches, but our target and no workspace.

    Args:
        go: The Go that runs.
        scratch: Where the compiler keeps its temporary files, so that they are removed after the build.
    """
    env = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOOS": "linux",
        "GOARCH": go.architecture,
        "GOWORK": "off",
        # A `go` that runs `go` must find the same one.
        "PATH": os.pathsep.join([str(go.command.parent), os.environ.get("PATH", os.defpath)]),
    }
    if scratch is not None:
        env["GOTMPDIR"] = str(scratch)
    return env


def download_command(go: Go, tool: Tool) -> list[str]:
    """Fetch a tool's module into the module cache, checked against go.sum, and print where it is."""
    return [str(go.command), "mod", "download", "-json", tool.module]


def overlay(tool: Tool, downloaded: str) -> str:
    """Return the file for `go build -overlay`: it maps the module's files that our source embeds.

    Args:
        tool: The tool.
        downloaded: What `download_command` printed.

    Raises:
        ValueError: It does not say where the module is.
    """
    try:
        module = Path(json.loads(downloaded)["Dir"])
    except (KeyError, TypeError) as error:
        raise ValueError(downloaded) from error
    files = {str(tool.folder / name): str(module / path) for name, path in tool.files.items()}
    return json.dumps({"Replace": files})


def build_command(go: Go, tool: Tool, out: Path, overlay: Path | None = None) -> list[str]:
    """Build every binary of a tool into a folder, from exactly what go.mod and go.sum pin."""
    return [
        str(go.command),
        "build",
        "-v",
        "-mod=readonly",
        "-trimpath",
        "-buildvcs=false",
        f"-ldflags={tool.ldflags}",
        *([f"-overlay={overlay}"] if overlay else []),
        "-o",
        f"{out}{os.sep}",
        *(binary.package for binary in tool.binaries),
    ]


def digest(tool: Tool, go: Go) -> str:
    """16 hexadecimal digits of the SHA-256 of everything that determines the binaries."""
    hasher = hashlib.sha256()
    for path in sorted(
        p for p in tool.folder.iterdir() if p.name in {"go.mod", "go.sum"} or p.suffix == ".go"
    ):
        hasher.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    row = {
        "module": tool.module,
        "version": tool.version,
        "binaries": [[binary.name, binary.package] for binary in tool.binaries],
        "ldflags": tool.ldflags,
        **({"files": dict(tool.files)} if tool.files else {}),
        "go": go.version_for(tool),
        "architecture": go.architecture,
    }
    hasher.update(json.dumps(row, sort_keys=True).encode())
    return hasher.hexdigest()[:16]
