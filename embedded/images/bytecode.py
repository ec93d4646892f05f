"""Bytecode made when a layer is made, because a container that is not root can't keep its own.

Without it a predictor compiles a thousand modules at each start.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from slipway.core.errors import FailedError


def compile_tree(root: Path, shown_as: str, version: str) -> None:
    """Write bytecode beside every module under `root`, the same bytes each time.

    `shown_as` is where the modules will be in the image, for tracebacks. The files are marked as
    never checked against their source: a layer does not change. A machine without a Python
    `version` gets none, which costs time at start and nothing else.
    """
    interpreter = _interpreter(version)
    if interpreter is None:
        return
    command = [interpreter, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(root), "-p", shown_as, str(root)]
    # One process in one order: what is compiled before decides details of the bytes.
    environment = {"PATH": os.defpath, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    # Some packages carry templates and syntax of other versions, which nobody imports.
    if done.returncode not in (0, 1):
        raise FailedError("Python modules could not be compiled.", why=(done.stdout + done.stderr)[-500:])


def _interpreter(version: str) -> str | None:
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    return shutil.which(f"python{version}")
