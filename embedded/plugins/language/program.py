"""The process in which one run of a Pulumi program happens.

Reads its input from standard input (`host.py` writes it), sets the SDK up as the official shim does, and
runs the program under a stack resource. An error is reported to the engine once; the exit code says
whether that happened.
"""

import asyncio
import enum
import logging
import os
import runpy
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import grpc
import pulumi
import pulumi.runtime

from slipway.core.errors import SlipwayError
from slipway.provider.serving import read_order


class Ending(enum.IntEnum):
    """How a program ended, as exit code."""

    DONE = 0
    FAILED = 1
    TOLD = 32
    """It failed and the reason was reported; the official host uses the same number."""


def main() -> int:
    """Run the program that the input names; return the exit code."""
    signal.signal(signal.SIGINT, _leave)
    signal.signal(signal.SIGTERM, _leave)
    orders = read_order(on_death=lambda: os._exit(Ending.TOLD))
    pulumi.runtime.set_all_config(orders["config"], orders["secret_keys"])
    pulumi.runtime.configure(pulumi.runtime.Settings(**orders["settings"]))
    # Futures of an aborted graph are never awaited, and asyncio would report each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    program = Path(orders["program"]).resolve()
    sys.argv = [str(program), *orders["args"]]
    try:
        return _run(program, orders["settings"]["parallel"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """End at once and without a traceback: the CLI itself reports the interruption."""
    os._exit(Ending.TOLD)


def _run(program: Path, parallel: int) -> int:
    if program.is_dir() and not (program / "__main__.py").is_file():
        pulumi.log.error(f"There is no __main__.py in {program}.")
        return Ending.TOLD
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor(max_workers=max(parallel, 1) * 4))
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: _execute(program)))
    except SystemExit as error:
        return _exit_code(error)
    except (pulumi.RunError, SlipwayError) as error:
        pulumi.log.error(str(error))
    except Exception as error:  # noqa: BLE001  whatever a user's program raises
        if not _engine_has_gone(error):
            _report(program)
    else:
        return Ending.DONE
    return Ending.TOLD


def _engine_has_gone(error: Exception) -> bool:
    """Return whether the program failed because its engine ended first, which has reported why."""
    return isinstance(error, grpc.RpcError) and error.code() == grpc.StatusCode.UNAVAILABLE


def _execute(program: Path) -> None:
    runpy.run_path(str(program), run_name="__main__")


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return Ending.DONE
    if isinstance(error.code, int):
        return error.code
    pulumi.log.error(str(error.code))
    return Ending.TOLD


def _report(program: Path) -> None:
    """Report the current exception to the engine, with the traceback from the program's first frame."""
    kind, error, trace = sys.exc_info()
    entry = program / "__main__.py" if program.is_dir() else program
    frames = trace
    while frames is not None and Path(frames.tb_frame.f_code.co_filename).resolve() != entry:
        frames = frames.tb_next
    lines = traceback.format_exception(kind, error, frames or trace)
    try:
        pulumi.log.error("The program failed with an unhandled exception:\n" + "".join(lines).rstrip())
    except grpc.RpcError:
        sys.stderr.write("".join(lines))


if __name__ == "__main__":
    code = main()
    # Threads of the SDK's executor may wait for an engine that will not answer any more.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
