"""Compile Python modules when a layer is built, because a non-root container can't cache its bytecode.

Without it, a predictor compiles a thousand modules at every start.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from slipway.core.errors import FailedError


def compile_tree(root: Path, shown_as: str, version: str) -> None:
    """Write reproducible bytecode for every module below `root`.

    `shown_as` is the folder of the modules in the image, for tracebacks. Python never compares the bytecode
    with the source, because a layer does not change. Without a Python `version` on this machine nothing is
    compiled, which only makes starts slower.
    """
    interpreter = _interpreter(version)
    if interpreter is None:
        return
    command = [interpreter, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(root), "-p", shown_as, str(root)]
    # A single process, because the bytes depend on the modules that were compiled before.
    environment = {"PATH": os.defpath, "PYTHONHASHSEED": "0"}
    completed = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    # Exit code 1: some packages contain templates, or the syntax of other versions.
    if completed.returncode not in (0, 1):
        raise FailedError(
            "Python modules could not be compiled.", why=(completed.stdout + completed.stderr)[-500:]
        )


def _interpreter(version: str) -> str | None:
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    return shutil.which(f"python{version}")
