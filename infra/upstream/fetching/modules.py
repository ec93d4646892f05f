"""Files of a Go module, by the Go command: it verifies the module against Go's checksum database."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from infra.upstream.part import GoModule, Source
from infra.upstream.trees import Tree
from slipway.core.errors import FailedError

_SECONDS: Final = 600


def from_module(source: Source, module: GoModule, go: Path) -> Tree:
    """Download the module into Go's module cache, and return the files of the source.

    Raises:
        FailedError: Go could not download it.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-upstream-") as elsewhere:
        # Outside any module: inside one, Go would look at its go.mod first.
        try:
            done = subprocess.run(
                [go, "mod", "download", "-json", f"{module.path}@{module.version}"],
                cwd=elsewhere,
                env={**os.environ, "GOWORK": "off", "GOFLAGS": "-mod=mod"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=_SECONDS,
            )
            answer = json.loads(done.stdout)
        except (subprocess.TimeoutExpired, ValueError) as error:
            raise _failure(module, str(error)) from None
    if "Dir" not in answer:
        raise _failure(module, str(answer.get("Error") or done.stderr or "Go said nothing"))
    return from_folder(source, Path(answer["Dir"]))


def from_folder(source: Source, folder: Path) -> Tree:
    """Return the files of the source from a folder with the repository's files."""
    paths = [
        path
        for name in source.folders
        for path in ([folder / name] if (folder / name).is_file() else (folder / name).rglob("*"))
    ]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in paths
        if path.is_file() and not path.is_symlink()
    }


def _failure(module: GoModule, said: str) -> FailedError:
    return FailedError(
        f"The Go module {module.path} {module.version} could not be downloaded.",
        why=" ".join(said.split())[:300],
        fix="Check the network and GOPROXY and run the command again, or use --mirror; nothing was kept.",
    )
