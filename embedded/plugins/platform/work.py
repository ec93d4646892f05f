"""A process that performs one long operation on the local cluster: one order in, lines of JSON out.

    {"line": "starting etcd"}  …  {"done": <result>} or {"error": {"kind", "what", "why", "fix"}}

If it is interrupted, or the provider ends, it stops where it is; the next one converges from there.
"""

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final, TextIO

from embedded import cluster, images
from embedded.images.containerd import Containerd
from embedded.instance import Instance
from slipway.core.errors import FailedError, SlipwayError, UsageError
from slipway.core.report import Report
from slipway.provider.serving import read_order

LAST_RESORT_SECONDS: Final = 6.0
"""Between the signal to stop and the end of the process, whatever still runs."""


def _start(order: Mapping[str, Any], report: Report) -> None:
    forwards = [
        cluster.Forward(
            port=each["port"],
            namespace=each["namespace"],
            service=each["service"],
            service_port=each["servicePort"],
        )
        for each in order["forwards"]
    ]
    cluster.start(Instance(order["instance"]), forwards=forwards, report=report)


def _delete(order: Mapping[str, Any], report: Report) -> None:
    cluster.delete(Instance(order["instance"]), report=report)


def _image(order: Mapping[str, Any], report: Report) -> str:
    return images.ensure(order["name"], Containerd(order["ctr"]), report)


OPERATIONS: Final[Mapping[str, Callable[[Mapping[str, Any], Report], Any]]] = {
    "start": _start,
    "delete": _delete,
    "image": _image,
}


def main() -> int:
    """Do what the order says; return the exit code."""
    tell = _writer()
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    order = read_order(on_death=lambda: os.kill(os.getpid(), signal.SIGINT))
    try:
        result = OPERATIONS[order["do"]](order, lambda line: tell({"line": line}))
    except SlipwayError as error:
        tell({"error": _as_json(error)})
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  a bug must reach the user with its place
        place = "".join(traceback.format_exc()[-2000:])
        tell({"error": _as_json(FailedError(f"{type(error).__name__}: {error}", why=place))})
        return 1
    tell({"done": result})
    return 0


def _writer() -> Callable[[Mapping[str, Any]], None]:
    """Reserve standard output for our own lines to the provider; everything else goes to stderr."""
    out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lock = threading.Lock()

    def tell(message: Mapping[str, Any]) -> None:
        with lock:
            out.write(json.dumps(message) + "\n")
            out.flush()

    return tell


def _as_json(error: SlipwayError) -> dict[str, str]:
    kind = "usage" if isinstance(error, UsageError) else "failed"
    return {"kind": kind, "what": error.what, "why": error.why, "fix": error.fix}


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Unwind, so that incomplete files and child processes are removed; exits after a time limit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    timer = threading.Timer(LAST_RESORT_SECONDS, os._exit, [130])
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
