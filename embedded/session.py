"""The surroundings of a local stack: where Pulumi keeps its state and finds its plugins.

Everything of it is in a folder beside the cluster's own (`selection.folder`), because it outlives the
cluster: `pulumi destroy` writes its state while the cluster is already gone. `remove` is the last step.
"""

import contextlib
import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from embedded import toolchain
from embedded.instance import Instance
from embedded.plugins import selection
from embedded.toolchain import cache
from slipway.core import atomic_files
from slipway.core.errors import UsageError
from slipway.core.report import Report, silent

EXPORTED: Final = (
    "PATH",
    "PULUMI_BACKEND_URL",
    "PULUMI_CONFIG_PASSPHRASE_FILE",
    "PULUMI_HOME",
    "PULUMI_SKIP_UPDATE_CHECK",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION",
    "KUBECONFIG",
    "SLIPWAY_INSTANCE",
)
"""What `environment` may set, and so what a shell is told. No value of them is a secret."""

_OVERRIDING: Final = ("PULUMI_CONFIG_PASSPHRASE",)
"""What would win over the above if the user's shell had it."""


def environment(instance: Instance, report: Report = silent) -> dict[str, str]:
    """Return the variables with which the pulumi CLI works on a local stack.

    Builds the CLI and kubectl where the machine lacks them, and makes the place for the state.
    They are meant to be put over the caller's own environment.
    """
    root = _make_folders(instance)
    tools = toolchain.bin_dir(report)
    env = {
        "PATH": _path(Path(sys.executable).parent, tools),
        "PULUMI_BACKEND_URL": f"file://{root / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(_passphrase(instance)),
        "PULUMI_HOME": str(selection.home(instance)),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "KUBECONFIG": str(instance.kubeconfig),
        "SLIPWAY_INSTANCE": instance.name,
    }
    _quieten(selection.home(instance))
    selected = selection.install(instance, {**os.environ, "PATH": env["PATH"]})
    if selection.stand_ins(selected):
        # The CLI would look for the official plugin on the network first, and wait for it.
        env["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    return env


def shell_exports(env: Mapping[str, str]) -> str:
    """Return `export …` lines for `eval "$(slipway env)"`."""
    lines = [f"unset {' '.join(_OVERRIDING)}"]
    lines += [f"export {name}={shlex.quote(env[name])}" for name in EXPORTED if name in env]
    return "\n".join(lines)


def remove(instance: Instance) -> None:
    """Take away the stack's state and the launchers: the last step of `make down`."""
    shutil.rmtree(selection.folder(instance), ignore_errors=True)
    with contextlib.suppress(OSError):
        instance.data_root.rmdir()  # only where no other instance is left


def cache_dir() -> Path:
    """Return the folder that stays when everything else is taken away."""
    return cache.root()


def _make_folders(instance: Instance) -> Path:
    root = selection.folder(instance)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("state", "home"):
            (root / name).mkdir(mode=0o700, exist_ok=True)
    except PermissionError as error:
        raise UsageError(
            f"The stack of the local cluster {instance.name} can't be worked on by this user.",
            why=f"Its state is in {root}, which needs root.",
            fix="Run as root, or use a stack of environment `dev`.",
        ) from error
    return root


def _path(*first: Path) -> str:
    """Return PATH with our folders in front, each once, so that a prepared shell doesn't grow."""
    rest = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([*map(str, first), *filter(None, rest)]))


def _quieten(home: Path) -> None:
    """Keep the CLI from logging every property of every resource to a file of its home.

    It can't be switched off (v3.250.0: StartLogging) and takes two fifths of the time of an `up` that
    changes nothing: 13.3 s with it, 5.4 s without, 92 resources. Where its folder can't be made the CLI
    goes on without, so a file stands in its place. The home is the local stack's own, never the user's.
    """
    logs = home / "logs"
    if logs.is_dir():
        shutil.rmtree(logs, ignore_errors=True)
    logs.touch()


def _passphrase(instance: Instance) -> Path:
    """Return the file with the passphrase of the state's secrets; the first call makes it."""
    path = selection.folder(instance) / "passphrase"
    if not path.exists():
        # Of two first calls at once one makes it, and both use its passphrase.
        atomic_files.create(path, secrets.token_urlsafe(32), mode=atomic_files.PRIVATE)
    return path
