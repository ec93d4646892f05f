"""Run a step in a forked process: set up its session, files and environment, call the function, exit.

Two private names of the SDK are used only here: the folder that artifact paths start with
(`kfp.dsl.types.artifact_types`), so that `s3://b/k` is a path below the step's folder, and
`kfp.dsl.executor.Executor`.
"""

import atexit
import os
import random
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, Final, NoReturn

from kfp.dsl import executor, utils
from kfp.dsl.types import artifact_types

from embedded.kfp import descendants

_MOST_DESCRIPTORS: Final = 4096


def run(request: dict[str, Any], log: int) -> NoReturn:
    """Run a step in this process and exit; `log` is the descriptor of its output."""
    code = 1
    try:
        _set_up(request, log)
        code = _call(request)
    except BaseException:  # noqa: BLE001 - the parent's code must never continue in this process
        traceback.print_exc()
    finally:
        _exit(code)


def _set_up(request: dict[str, Any], log: int) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.closerange(3, min(os.sysconf("SC_OPEN_MAX"), _MOST_DESCRIPTORS))
    descendants.traceable(True)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _call(request: dict[str, Any]) -> int:
    for scheme in ("s3", "minio"):
        setattr(artifact_types, f"_{scheme.upper()}_LOCAL_MOUNT_PREFIX", f"{request['folder']}/{scheme}/")
    source = Path(request["folder"]) / "ephemeral_component.py"
    source.write_text(request["source"], encoding="utf-8")
    try:
        module = utils.load_module(module_name=source.stem, module_directory=str(source.parent))
        function = getattr(module, request["function"])
        executor.Executor(executor_input=request["input"], function_to_execute=function).execute()
    except SystemExit as end:
        return _exit_code(end.code)
    except BaseException:  # noqa: BLE001 - any exception of a step is its result
        traceback.print_exc()
        return 1
    return 0


def _exit_code(code: object) -> int:
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    print(code, file=sys.stderr)
    return 1


def _exit(code: int) -> NoReturn:
    """Exit like the interpreter, but without freeing modules, which takes 0.6 s or more with pandas.

    Waits for non-daemon threads, calls exit hooks and flushes the output.
    """
    try:
        getattr(threading, "_shutdown")()  # noqa: B009 - it has no public name
        getattr(atexit, "_run_exitfuncs")()  # noqa: B009 - nor has this
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
