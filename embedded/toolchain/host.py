"""Tools that the machine already has in a suitable version."""

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

KUBERNETES_PROVIDER: Final = "pulumi-resource-kubernetes"
"""The executable of Pulumi's Kubernetes provider."""

PROVIDER_FOLDER: Final = f"resource-kubernetes-v{versions.PULUMI_KUBERNETES}"
"""The folder of a PULUMI_HOME's `plugins` that the CLI takes the provider from."""

LAUNCHER_MARK: Final = "# slipway: stand-in"
"""What Slipway's launchers have in their first lines; a plugin that has it is not an official one."""


def find(name: str, env: Mapping[str, str] | None = None) -> Path | None:
    """Find a tool that may come from the machine and whose version is suitable.

    Args:
        name: The executable's name.
        env: Where PATH, PULUMI_HOME and HOME are looked up; by default this process's environment.
    """
    variables = os.environ if env is None else env
    if name == KUBERNETES_PROVIDER:
        return next(filter(official, _providers(variables)), None)
    fits = _FITS.get(name)
    return next((path for path in _on_path(name, variables) if fits(path)), None) if fits else None


def official(path: Path) -> bool:
    """Return whether `path` is a plugin of Pulumi: completely installed, and not a launcher of Slipway."""
    if not (path.is_file() and os.access(path, os.X_OK)):
        return False
    if path.parent.with_name(path.parent.name + ".partial").exists():
        return False
    with path.open("rb") as file:
        return LAUNCHER_MARK.encode() not in file.read(256)


def _providers(env: Mapping[str, str]) -> list[Path]:
    """Every place where the CLI would find the provider, in its order, except our own build."""
    homes = [env.get("PULUMI_HOME"), f"{env['HOME']}/.pulumi" if env.get("HOME") else None]
    # Resolved: the PULUMI_HOME of a local stack holds a link, to the machine's plugin or to our build.
    installed = [
        (Path(home) / "plugins" / PROVIDER_FOLDER / KUBERNETES_PROVIDER).resolve() for home in homes if home
    ]
    ours = cache.root().resolve()
    return [
        *_on_path(KUBERNETES_PROVIDER, env),
        *(path for path in installed if not path.is_relative_to(ours)),
    ]


def _on_path(name: str, env: Mapping[str, str]) -> list[Path]:
    """Every such executable on PATH except our own: PATH may contain our folder of links."""
    ours = cache.root().resolve()
    paths = []
    for folder in env.get("PATH", "").split(os.pathsep):
        path = shutil.which(name, path=folder) if folder else None
        if path and not Path(path).resolve().is_relative_to(ours):
            paths.append(Path(path).absolute())
    return paths


def _pulumi_fits(path: Path) -> bool:
    """The pinned version or a newer one of the same major: the engine's protocol stays compatible."""
    return _fits(_version(path, "version"), versions.PULUMI_CLI, newer=True)


def _kubectl_fits(path: Path) -> bool:
    """One minor version around the cluster's, as Kubernetes' version skew policy allows."""
    output = _version(path, "version", "--client", "--output=json")
    try:
        version = json.loads(output)["clientVersion"]["gitVersion"]
    except (ValueError, KeyError, TypeError):
        return False
    return _fits(version, versions.KUBERNETES, newer=False)


def _kustomize_fits(path: Path) -> bool:
    """Exactly the pinned version: another one may render other bytes, which the lock would refuse."""
    return _version(path, "version").strip() == f"v{versions.KUSTOMIZE}"


def _helm_fits(path: Path) -> bool:
    """Exactly the pinned version, as of kustomize."""
    return _version(path, "version", "--template", "{{.Version}}").strip() == f"v{versions.HELM}"


def _fits(version: str, wanted: str, *, newer: bool) -> bool:
    have, want = _number(version), _number(wanted)
    if have is None or want is None or have[0] != want[0]:
        return False
    return have >= want if newer else abs(have[1] - want[1]) <= 1


def _number(version: str) -> tuple[int, int, int] | None:
    parts = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version.strip())
    return (int(parts[1]), int(parts[2]), int(parts[3])) if parts else None


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


_FITS: Final[Mapping[str, Callable[[Path], bool]]] = MappingProxyType(
    {
        "helm": _helm_fits,
        "kubectl": _kubectl_fits,
        "kustomize": _kustomize_fits,
        "pulumi": _pulumi_fits,
    }
)
