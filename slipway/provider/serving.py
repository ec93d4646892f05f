"""Runs a plugin: a gRPC server on loopback that ends together with the CLI.

The CLI starts a plugin in its own process group, reads the port from the first line of its output, and
keeps the write end of its standard input open. A killed CLI can't notify its plugins; they notice the
end of that pipe.
"""

import atexit
import json
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from types import FrameType
from typing import Any, Final

import grpc

MESSAGE_LIMIT: Final = 400 * 1024 * 1024
"""Bytes of one message; the CLI and the SDK use the same limit."""

WORKERS: Final = 32
"""Parallel calls; the CLI's own default is four per core."""


def engine_address(argv: Sequence[str]) -> str:
    """Return the address of the engine, which the CLI puts last, after its logging flags."""
    return argv[-1] if argv and not argv[-1].startswith("-") else ""


def serve(register: Callable[[Any], None], on_exit: Callable[[], None]) -> None:
    """Serve until the CLI signals the end or has ended; then call `on_exit` and end the process.

    Args:
        register: adds the servicer to the server.
        on_exit: ends what the plugin has started; called once, must return promptly.
    """
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=WORKERS),
        options=[
            ("grpc.max_receive_message_length", MESSAGE_LIMIT),
            ("grpc.max_send_message_length", MESSAGE_LIMIT),
            # A parallel provider starts several plugins; none may share another's port.
            ("grpc.so_reuseport", 0),
        ],
    )
    register(server)
    over = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        over.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    watch_parent(over.set)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    over.wait()
    on_exit()
    server.stop(grace=0)
    # The Kubernetes client writes keys of a kubeconfig to temporary files and deletes them at exit, which
    # os._exit would skip.
    atexit._run_exitfuncs()
    # Calls that still run keep non-daemon threads alive; on_exit has stopped what they wait for.
    os._exit(0)


def read_order(on_death: Callable[[], None]) -> dict[str, Any]:
    """Return the line of JSON that the parent wrote to standard input; then watch the parent.

    The line may contain secrets of the stack, and unlike arguments and the environment a pipe can't be
    read by others. Afterwards standard input is empty for every process that is started.
    """
    line = b""
    while not line.endswith(b"\n"):
        # Unbuffered: no byte of the pipe may remain in a buffer that is never read.
        read = os.read(0, 65536)
        if not read:
            raise SystemExit(1)
        line += read
    watch_parent(on_death)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    order: dict[str, Any] = json.loads(line)
    return order


def watch_parent(on_death: Callable[[], None]) -> None:
    """Call `on_death` when the process at the other end of standard input has ended.

    Where standard input is not a pipe (a developer's terminal, /dev/null) there is nothing to watch.
    """
    descriptor = os.dup(sys.stdin.fileno())
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return

    def wait() -> None:
        while os.read(descriptor, 4096):
            pass
        on_death()

    threading.Thread(target=wait, name="parent", daemon=True).start()
