"""Which plugins the CLI will use on this machine: official ones where they are, stand-ins elsewhere.

The CLI takes a plugin from PATH, then (the language host) from beside its own executable, then from
`$PULUMI_HOME/plugins`. A local stack has a PULUMI_HOME of its own: stand-ins are put there, and an
official plugin of the user's own home is linked there, so nothing of the user's is written to. The
places are looked at in the CLI's order; the network never is.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from embedded.instance import Instance
from infra.versions import PULUMI_CLI, PULUMI_KUBERNETES

PROVIDER_VERSION: Final = "0.1.0"
_MARK: Final = "# slipway: stand-in"


@dataclass(frozen=True)
class _Wanted:
    name: str
    kind: Literal["language", "resource"]
    version: str
    module: str
    bundled: bool = False
    """Whether it comes beside the CLI's executable."""

    ours: bool = False
    """Whether there is no official one."""

    @property
    def executable(self) -> str:
        return f"pulumi-{self.kind}-{self.name}"

    @property
    def folder(self) -> str:
        return f"{self.kind}-{self.name}-v{self.version}"


WANTED: Final = (
    _Wanted("python", "language", PULUMI_CLI, "embedded.plugins.language", bundled=True),
    _Wanted("kubernetes", "resource", PULUMI_KUBERNETES, "embedded.plugins.kubernetes"),
    _Wanted("slipway", "resource", PROVIDER_VERSION, "embedded.plugins.platform", ours=True),
)


class Plugin(BaseModel):
    """A plugin of a local stack, and which one it is."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    kind: Literal["official", "stand-in"]
    why: str
    path: Path | None = None
    """Of the official executable."""


def folder(instance: Instance) -> Path:
    """Return the folder of the instance's stack: beside the cluster's data, which goes before it."""
    return instance.data_root / f"{instance.name}.stack"


def home(instance: Instance) -> Path:
    """Return the PULUMI_HOME of the instance's stack."""
    return folder(instance) / "home"


def plugins(instance: Instance, env: Mapping[str, str] | None = None) -> tuple[Plugin, ...]:
    """Say of each plugin that the program needs which one is used, and why. Changes nothing."""
    surroundings = os.environ if env is None else env
    return tuple(_select(wanted, instance, surroundings) for wanted in WANTED)


def install(instance: Instance, env: Mapping[str, str] | None = None) -> tuple[Plugin, ...]:
    """Put into the instance's PULUMI_HOME what the CLI would not find elsewhere."""
    selected = plugins(instance, env)
    for wanted, plugin in zip(WANTED, selected, strict=True):
        place = home(instance) / "plugins" / wanted.folder
        for other in place.parent.glob(f"{wanted.kind}-{wanted.name}-v*"):
            if other != place:
                shutil.rmtree(other)
        if plugin.kind == "stand-in":
            _write(place / wanted.executable, _launcher(wanted))
        elif plugin.path is not None and not wanted.bundled:
            _link(place / wanted.executable, plugin.path)
        else:
            shutil.rmtree(place, ignore_errors=True)
    return selected


def stand_ins(selected: tuple[Plugin, ...]) -> bool:
    """Return whether a plugin that exists officially is stood in for."""
    return any(
        plugin.kind == "stand-in" and not wanted.ours for wanted, plugin in zip(WANTED, selected, strict=True)
    )


def _select(wanted: _Wanted, instance: Instance, env: Mapping[str, str]) -> Plugin:
    if wanted.ours:
        why = "part of Slipway: makes the local cluster and its images"
        return Plugin(name=wanted.executable, version=wanted.version, kind="stand-in", why=why)
    for path, place in _places(wanted, instance, env):
        if _official(path):
            version = _version(wanted, path)
            return Plugin(name=wanted.executable, version=version, kind="official", why=place, path=path)
    where = "on PATH or beside pulumi" if wanted.bundled else "on PATH or in Pulumi's plugins folder"
    why = f"the official one is not {where}"
    return Plugin(name=wanted.executable, version=wanted.version, kind="stand-in", why=why)


def _places(wanted: _Wanted, instance: Instance, env: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    for entry in filter(None, env.get("PATH", "").split(os.pathsep)):
        yield Path(entry) / wanted.executable, f"found on PATH in {entry}"
    if wanted.bundled:
        cli = shutil.which("pulumi", path=env.get("PATH", ""))
        if cli:
            yield Path(cli).resolve().parent / wanted.executable, "came with pulumi"
        return
    for plugins_folder in _plugin_folders(instance, env):
        yield plugins_folder / wanted.folder / wanted.executable, f"installed in {plugins_folder}"


def _plugin_folders(instance: Instance, env: Mapping[str, str]) -> Iterator[Path]:
    """Yield the user's plugin folders; in a shell prepared by `slipway env` PULUMI_HOME is ours."""
    chosen = env.get("PULUMI_HOME")
    if chosen and Path(chosen) != home(instance):
        yield Path(chosen) / "plugins"
    if env.get("HOME"):
        yield Path(env["HOME"]) / ".pulumi" / "plugins"


def _official(path: Path) -> bool:
    """Return whether `path` is a plugin and none of our launchers, of this clone or another."""
    if not (path.is_file() and os.access(path, os.X_OK)):
        return False
    if path.parent.with_name(path.parent.name + ".partial").exists():
        return False
    with path.open("rb") as file:
        return _MARK.encode() not in file.read(256)


def _version(wanted: _Wanted, path: Path) -> str:
    """Return the version that its folder tells; a plugin on PATH could only be asked by running it."""
    return wanted.version if path.parent.name == wanted.folder else "as found"


def _launcher(wanted: _Wanted) -> str:
    # -P: the CLI starts plugins in the program's folder, whose modules must not shadow ours.
    return (
        "#!/bin/sh\n"
        f"{_MARK} for a machine where the official plugin can't be had\n"
        f'exec {shlex.quote(sys.executable)} -P -m {wanted.module} "$@"\n'
    )


def _write(path: Path, text: str) -> None:
    if path.is_symlink() or not path.is_file() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(text)
        draft.chmod(0o755)
        draft.replace(path)


def _link(path: Path, target: Path) -> None:
    if not path.is_symlink() or path.readlink() != target:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.symlink_to(target)
        draft.replace(path)
