"""Tools that the machine already has in a version that fits."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from embedded.toolchain import cache
from infra import versions


def find(name: str) -> Path | None:
    """The binary on PATH, if it is one that may come from the machine and its version fits."""
    answers = _ANSWERS.get(name)
    return next((path for path in _on_path(name) if answers(path)), None) if answers else None


def _on_path(name: str) -> list[Path]:
    """Every such executable on PATH but our own: PATH may hold our folder of links."""
    ours = cache.root().resolve()
    found = []
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = shutil.which(name, path=folder) if folder else None
        if path and not Path(path).resolve().is_relative_to(ours):
            found.append(Path(path).absolute())
    return found


def _pulumi_fits(path: Path) -> bool:
    """The pinned version or a newer one of the same major: the engine's protocol only grows."""
    return _fits(_version(path, "version"), versions.PULUMI_CLI, newer=True)


def _kubectl_fits(path: Path) -> bool:
    """One minor version around the cluster's, as Kubernetes' version skew policy allows."""
    said = _version(path, "version", "--client", "--output=json")
    try:
        said = json.loads(said)["clientVersion"]["gitVersion"]
    except (ValueError, KeyError, TypeError):
        return False
    return _fits(said, versions.KUBERNETES, newer=False)


def _fits(said: str, wanted: str, *, newer: bool) -> bool:
    have, want = _number(said), _number(wanted)
    if have is None or want is None or have[0] != want[0]:
        return False
    return have >= want if newer else abs(have[1] - want[1]) <= 1


def _number(version: str) -> tuple[int, int, int] | None:
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version.strip())
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _version(path: Path, *arguments: str) -> str:
    try:
        return subprocess.run(
            [path, *arguments],
            env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


_ANSWERS: Final[Mapping[str, Callable[[Path], bool]]] = MappingProxyType(
    {"pulumi": _pulumi_fits, "kubectl": _kubectl_fits}
)
