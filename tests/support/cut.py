"""A relay before a server that cuts one connection in the middle."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def cutting_relay(address: str, after: int) -> Iterator[str]:
    """Relay to `address`; close the first connection that has sent `after` bytes. Yields its own."""
    host, _, port = address.rpartition(":")
    listener = socket.create_server((host, 0))
    cut = threading.Event()

    def relay(client: socket.socket) -> None:
        with client, socket.create_connection((host, int(port))) as server:
            back = threading.Thread(target=_pump, args=(server, client, None))
            back.start()
            limit = None if cut.is_set() else after
            if _pump(client, server, limit):
                cut.set()
            for end in (client, server):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            back.join()

    def accept() -> None:
        with suppress(OSError):
            while True:
                threads.append(threading.Thread(target=relay, args=(listener.accept()[0],)))
                threads[-1].start()

    threads: list[threading.Thread] = []
    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield f"{host}:{listener.getsockname()[1]}"
        assert cut.is_set(), "the connection was not cut"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (acceptor, *threads):
            thread.join()


def _pump(source: socket.socket, target: socket.socket, limit: int | None) -> bool:
    """Copy until the end or the limit; return whether the limit was reached."""
    sent = 0
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
            sent += len(data)
            if limit is not None and sent >= limit:
                return True
    return False
