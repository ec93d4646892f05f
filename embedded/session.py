"""The environment of a local stack: where Pulumi stores its state and finds its plugins.

All of it is in a folder next to the cluster's (`selection.folder`), because it must outlive the cluster:
`pulumi destroy` writes its state after the cluster is deleted. `remove` is the last step.
"""

import contextlib
import os
import secrets
import shlex
import shutil
import signal
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
"""Variables that `environment` can set, and that are exported to a shell. None of them is a secret."""

_OVERRIDING: Final = ("PULUMI_CONFIG_PASSPHRASE",)
"""Variables that would take precedence over the above if they were set in the user's shell."""


def environment(instance: Instance, report: Report = silent) -> dict[str, str]:
    """Return the environment variables for the pulumi CLI to use a local stack.

    Builds the CLI, its Kubernetes provider and kubectl if they are missing, and creates the folder of the
    state. The variables are to be merged into the caller's environment.
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
    _disable_logs(selection.home(instance))
    selected = selection.install(instance, {**os.environ, "PATH": env["PATH"]}, report)
    if not selection.all_installed(selected):
        # The CLI would look for the official plugin on the network first, and wait for it.
        env["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    return env


def shell_exports(env: Mapping[str, str]) -> str:
    """Return `export …` lines for `eval "$(slipway env)"`."""
    lines = [f"unset {' '.join(_OVERRIDING)}"] if "PULUMI_CONFIG_PASSPHRASE_FILE" in env else []
    lines += [f"export {name}={shlex.quote(env[name])}" for name in EXPORTED if name in env]
    return "\n".join(lines)


def remove(instance: Instance) -> None:
    """Remove the stack's state and the launchers: the last step of `make down`.

    Plugins outlive a CLI that was killed by some minutes, so those of this stack are ended first.
    """
    _end_plugins(selection.home(instance) / "plugins")
    shutil.rmtree(selection.folder(instance), ignore_errors=True)
    with contextlib.suppress(OSError):
        instance.data_root.rmdir()  # only if there is no other instance


def cache_dir() -> Path:
    """Return the cache folder, which is kept when everything else is removed."""
    return cache.root()


def _make_folders(instance: Instance) -> Path:
    root = selection.folder(instance)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("state", "home"):
            (root / name).mkdir(mode=0o700, exist_ok=True)
    except PermissionError as error:
        raise UsageError(
            f"This user can't use the stack of the local cluster {instance.name}.",
            why=f"Its state is in {root}, which requires root.",
            fix="Run as root, or use a stack of environment `dev`.",
        ) from error
    return root


def _end_plugins(folder: Path) -> None:
    for process in Path("/proc").glob("[0-9]*"):
        # A process may end at any moment, and those of other users can't be read.
        with contextlib.suppress(OSError):
            program = (process / "cmdline").read_bytes().partition(b"\0")[0]
            if program.startswith(f"{folder}/".encode()):
                os.kill(int(process.name), signal.SIGKILL)


def _path(*first: Path) -> str:
    """Return PATH with our folders first, without duplicates, so that repeated calls don't extend it."""
    rest = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([*map(str, first), *filter(None, rest)]))


def _disable_logs(home: Path) -> None:
    """Keep the CLI from logging every property of every resource to a file in its home.

    The log can't be disabled (v3.250.0: StartLogging) and takes three fifths of the time of an `up` without
    changes: 13.3 s with it, 5.4 s without, 92 resources. If the log folder can't be created, the CLI
    continues without logs, so a file is created in its place. The home is that of the local stack, not of
    the user.
    """
    logs = home / "logs"
    if logs.is_dir():
        shutil.rmtree(logs, ignore_errors=True)
    logs.touch()


def _passphrase(instance: Instance) -> Path:
    """Return the file with the passphrase of the state's secrets; the first call creates it."""
    path = selection.folder(instance) / "passphrase"
    if not path.exists():
        # If two first calls run at once, one creates the file and both use it.
        atomic_files.create(path, secrets.token_urlsafe(32), mode=atomic_files.PRIVATE)
    return path
