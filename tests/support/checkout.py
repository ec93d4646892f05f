"""A checkout of its own for a test that runs the whole platform: nothing of the developer's is touched."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
INTERRUPTED_SECONDS = 120.0
"""How long an interrupted command may take to end what it began."""


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Checkout:
    """A copy of the working tree as a git repository of its own, with the same Python environment."""

    path: Path

    @property
    def env(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if name != "SLIPWAY_INSTANCE"}
        # The copy's packages come before the ones that the environment was installed from.
        return {**clean, "PYTHONPATH": str(self.path)}

    def slipway(
        self,
        *arguments: str,
        timeout: float = 1800,
        env: Mapping[str, str] | None = None,
        within: Sequence[str] = (),
    ) -> Finished:
        """Run a command; `within` is a prefix that runs it elsewhere, such as in a network namespace."""
        process = subprocess.Popen(
            [*within, sys.executable, "-m", "slipway", *arguments],
            cwd=self.path,
            env={**self.env, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            out, err = process.communicate(timeout=timeout)
        except KeyboardInterrupt:
            # Not killed: a drill, for one, deletes the cluster that it has made.
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=INTERRUPTED_SECONDS)
            raise
        finally:
            process.kill()
            process.communicate()
        return Finished(process.returncode, out, err)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command in a process group of its own, as a terminal would."""
        return subprocess.Popen(
            [sys.executable, "-m", "slipway", *arguments],
            cwd=self.path,
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def git_status(self) -> str:
        return _git(self.path, "status", "--porcelain")


def _git(path: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=path, check=True, capture_output=True, text=True
    ).stdout


def checkout(path: Path) -> Checkout:
    """Copy what git knows or would add to `path`, and commit it there."""
    listed = _git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, listed):
        source = ROOT / name
        if source.is_file():
            target = path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            target.chmod(source.stat().st_mode)
    _git(path, "init", "-q", "-b", "main")
    _git(path, "add", "-A")
    _git(path, "commit", "-q", "-m", "as tested")
    return Checkout(path)
