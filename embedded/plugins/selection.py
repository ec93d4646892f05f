"""Which plugins the CLI uses on this machine: the machine's own, or those that Slipway provides.

The CLI takes a plugin from PATH, then (the language host) from beside its own executable, then from
`$PULUMI_HOME/plugins`. A local stack has its own PULUMI_HOME. It receives what the machine does not have:
the official Kubernetes provider as built from its Go module, and launchers of our own plugins. An
official plugin in the user's home is linked there, so the user's folders are never written to. The
places are searched in the CLI's order, without using the network.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from embedded import toolchain
from embedded.instance import Instance
from embedded.toolchain import host
from infra.versions import PULUMI_CLI, PULUMI_KUBERNETES, PULUMI_KUBERNETES_MODULE
from slipway.core import atomic_files
from slipway.core.report import Report, silent

PROVIDER_VERSION: Final = "0.1.0"
Kind = Literal["official", "built", "stand-in"]
"""The machine's official plugin; the official one built here from its source; our own."""


@dataclass(frozen=True)
class _Wanted:
    name: str
    kind: Literal["language", "resource"]
    version: str
    module: str = ""
    """The module of our own plugin, which a launcher runs."""

    @property
    def executable(self) -> str:
        return f"pulumi-{self.kind}-{self.name}"

    @property
    def folder(self) -> str:
        return f"{self.kind}-{self.name}-v{self.version}"


LANGUAGE: Final = _Wanted("python", "language", PULUMI_CLI, "embedded.plugins.language")
KUBERNETES: Final = _Wanted("kubernetes", "resource", PULUMI_KUBERNETES)
SLIPWAY: Final = _Wanted("slipway", "resource", PROVIDER_VERSION, "infra.plugin")


class Plugin(BaseModel):
    """A plugin of a local stack, and its origin."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    kind: Kind
    why: str
    path: Path | None = None
    """The path of the machine's own executable."""


def folder(instance: Instance) -> Path:
    """Return the folder of the instance's stack: beside the cluster's data, which is deleted before it."""
    return instance.data_root / f"{instance.name}.stack"


def home(instance: Instance) -> Path:
    """Return the PULUMI_HOME of the instance's stack."""
    return folder(instance) / "home"


def plugins(env: Mapping[str, str] | None = None) -> tuple[Plugin, ...]:
    """Return which plugin is used for each that the program needs, and why. Changes nothing."""
    variables = os.environ if env is None else env
    return _language(variables), _kubernetes(variables), _slipway()


def install(
    instance: Instance, env: Mapping[str, str] | None = None, report: Report = silent
) -> tuple[Plugin, ...]:
    """Put into the instance's PULUMI_HOME what the CLI would not find elsewhere.

    Args:
        instance: The instance whose PULUMI_HOME is filled.
        env: The environment that the CLI will have; by default that of this process.
        report: Receives a line when the Kubernetes provider must be built.

    Raises:
        FailedError: The provider could not be built.
    """
    language, kubernetes, slipway = selected = plugins(env)
    place = _place(instance, LANGUAGE)
    if language.kind == "official":
        shutil.rmtree(place, ignore_errors=True)
    else:
        _write(place / LANGUAGE.executable, _launcher(LANGUAGE))
    target = kubernetes.path or toolchain.binary(KUBERNETES.executable, report)
    _link(_place(instance, KUBERNETES) / KUBERNETES.executable, target)
    _write(_place(instance, SLIPWAY) / slipway.name, _launcher(SLIPWAY))
    return selected


def all_installed(selected: tuple[Plugin, ...]) -> bool:
    """Return whether the machine itself has every official plugin."""
    return all(plugin.kind == "official" for plugin in selected if plugin.name != SLIPWAY.executable)


def _language(env: Mapping[str, str]) -> Plugin:
    name, path = LANGUAGE.executable, env.get("PATH", "")
    places = [(Path(each) / name, f"found on PATH in {each}") for each in path.split(os.pathsep) if each]
    if cli := shutil.which("pulumi", path=path):
        places.append((Path(cli).resolve().parent / name, "came with pulumi"))
    for place, why in places:
        if host.official(place):
            return Plugin(name=name, version="as found", kind="official", why=why, path=place)
    why = "the official one is not on PATH or beside pulumi"
    return Plugin(name=name, version=LANGUAGE.version, kind="stand-in", why=why)


def _kubernetes(env: Mapping[str, str]) -> Plugin:
    name = KUBERNETES.executable
    path = host.find(name, env)
    if path is None:
        version = PULUMI_KUBERNETES_MODULE.rpartition("-")[2]
        why = "the machine has none: the official one, built from its Go module"
        return Plugin(name=name, version=version, kind="built", why=why)
    installed = path.parent.name == KUBERNETES.folder
    return Plugin(
        name=name,
        version=KUBERNETES.version if installed else "as found",
        kind="official",
        why=f"installed in {path.parent.parent}" if installed else f"found on PATH in {path.parent}",
        path=path,
    )


def _slipway() -> Plugin:
    why = "part of Slipway: makes the local cluster, its images, and what is installed by digest"
    return Plugin(name=SLIPWAY.executable, version=SLIPWAY.version, kind="stand-in", why=why)


def _place(instance: Instance, wanted: _Wanted) -> Path:
    """Return the plugin's folder, the only one of its name: the CLI uses the highest suitable version."""
    place = home(instance) / "plugins" / wanted.folder
    for other in place.parent.glob(f"{wanted.kind}-{wanted.name}-v*"):
        # The CLI records the time of last use in a file beside each folder.
        if other != place and other.is_dir():
            shutil.rmtree(other)
    return place


def _launcher(wanted: _Wanted) -> str:
    # -P: the CLI starts plugins in the program's folder, whose modules must not shadow ours.
    return (
        "#!/bin/sh\n"
        f"{host.LAUNCHER_MARK} for a machine where the official plugin can't be had\n"
        f'exec {shlex.quote(sys.executable)} -P -m {wanted.module} "$@"\n'
    )


def _write(path: Path, text: str) -> None:
    if path.is_symlink() or not path.is_file() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_files.replace(path, text, mode=0o755)


def _link(path: Path, target: Path) -> None:
    if not path.is_symlink() or path.readlink() != target:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.symlink_to(target)
        draft.replace(path)
