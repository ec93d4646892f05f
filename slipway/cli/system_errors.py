"""Messages for errors of the operating system: which path, why, and what to do."""

import errno
import os
import socket
from typing import Final

from slipway.core.errors import FailedError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM})
_AGAIN: Final = "and run the same command again."


def message(error: OSError) -> FailedError:
    """Return the message for an error of the operating system; a rerun converges once it is fixed."""
    place = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    reason = error.strerror or str(error) or type(error).__name__
    return FailedError(
        f"{place or 'The system refused an operation'}: {reason}.",
        why=_why(error, place),
        fix=_fix(error, place),
    )


def _why(error: OSError, place: str) -> str:
    if error.errno in _FORBIDDEN:
        return f"The command runs as user {os.geteuid()}, who may not do that."
    if error.errno in _FULL and not place:
        from slipway.operations.full_disks import full_disks

        full = [f"{folder} ({free >> 20} MiB free)" for folder, free in full_disks()]
        return f"Full or nearly full: {', '.join(full)}." if full else "The disk of the output, perhaps."
    return ""


def _fix(error: OSError, place: str) -> str:
    if error.errno in _FULL:
        return f"Free some space (`df -h` shows where) {_AGAIN}"
    if error.errno in _FORBIDDEN:
        return f"See whose it is (`ls -ld {place}`) {_AGAIN}" if place else f"Run as root, {_AGAIN}"
    if error.errno == errno.EROFS:
        return f"Its file system is read-only: mount it for writing {_AGAIN}"
    if isinstance(error, (ConnectionError, TimeoutError, socket.gaierror)):
        return f"Check with `slipway status` that it is up, {_AGAIN}"
    return f"Fix that {_AGAIN} `slipway doctor` shows what this machine has and what is missing."
