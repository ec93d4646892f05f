"""Faults between a client and a real store: a proxy that misbehaves.

It passes HTTP on as it came, with the `Host` that was signed, until a request meets a fault.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import urlsplit

_PIECE = 64 << 10
_HOP = {"connection", "expect", "keep-alive", "transfer-encoding"}


@dataclass
class Fault:
    """What befalls a request. The first fault with `times` left whose method and path fit is taken."""

    method: str = ""
    """Which method; empty for each."""

    path: str = ""
    """A part of the path; empty for each."""

    times: int = 1 << 30
    """How many requests it still befalls."""

    status: int = 0
    """Answer with this status and `code`, and pass nothing on."""

    code: str = ""
    hold: float = 0.0
    """Seconds to wait before the request is passed on."""

    before: Callable[[], None] | None = None
    """Called before the request is passed on; after `keep_body` bytes of its body, if that is set."""

    keep_body: int | None = None
    """Pass on only so many bytes of the request's body, then hang up on both sides."""

    lose_answer: bool = False
    """Pass the request on, wait until the store has answered, and hang up."""

    after: Callable[[], None] | None = None
    """Called when the store has answered, before the answer is lost or passed on."""

    keep_answer: int | None = None
    """Pass on only so many bytes of the answer's body, then hang up."""

    shift: timedelta = field(default_factory=timedelta)
    """How far the store's clock is ahead: its answers' Date moves, and requests look so much older."""


class FaultyStore:
    """Where the proxy listens, what it does wrong, and what it saw."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str]] = []
        self._lock = Lock()

    def fault_for(self, method: str, path: str) -> Fault:
        with self._lock:
            self.seen.append((method, path))
            for fault in self.faults:
                if fault.times and fault.method in ("", method) and fault.path in path:
                    fault.times -= 1
                    return fault
        return Fault()

    def count(self, method: str, path: str = "") -> int:
        return len([1 for verb, where in self.seen if verb == method and path in where])


class _HangUpError(Exception):
    """Close the client's connection without another byte."""


def _handler(proxy: FaultyStore, upstream: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

        def serve(self) -> None:
            path = urlsplit(self.path).path
            fault = proxy.fault_for(self.command, path)
            try:
                self._meet(fault)
            except (_HangUpError, OSError, http.client.HTTPException):
                self.close_connection = True
                # A reset, so that the client does not take it for the end of the answer.
                linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = serve  # noqa: N815 - the base class's names

        def _meet(self, fault: Fault) -> None:
            body = self._body()
            if fault.status:
                self._refuse(fault)
                return
            if fault.hold:
                time.sleep(fault.hold)
            if fault.keep_body is None and fault.before:
                fault.before()
            there = http.client.HTTPConnection(upstream, timeout=30)
            try:
                self._pass_on(there, body, fault)
            finally:
                there.close()

        def _body(self) -> bytes:
            """Read the body; over TLS botocore sends it in chunks, as it sums it up on the way."""
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            del self.headers["Content-Length"]
            self.headers["Content-Length"] = str(len(body))
            return body

        def _refuse(self, fault: Fault) -> None:
            content = f"<Error><Code>{fault.code}</Code><Message>no</Message></Error>".encode()
            if self.command == "HEAD":
                content = b""
            self.send_response(fault.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _pass_on(self, there: http.client.HTTPConnection, body: bytes, fault: Fault) -> None:
            there.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP:
                    there.putheader(name, _older(name, value, fault.shift))
            there.endheaders()
            if fault.keep_body is not None:
                there.send(body[: fault.keep_body])
                if fault.before:
                    fault.before()
                raise _HangUpError
            there.send(body)
            answer = there.getresponse()
            if fault.after:
                fault.after()
            if fault.lose_answer:
                raise _HangUpError
            self._answer(answer, fault)

        def _answer(self, answer: http.client.HTTPResponse, fault: Fault) -> None:
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP:
                    self.send_header(name, _later(name, value, fault.shift))
            if answer.length is None and self.command != "HEAD":
                self.send_header("Connection", "close")
            self.end_headers()
            sent, whole = 0, answer.length
            while piece := answer.read(_PIECE):
                if fault.keep_answer is not None and sent + len(piece) > fault.keep_answer:
                    self.wfile.write(piece[: fault.keep_answer - sent])
                    self.wfile.flush()
                    raise _HangUpError
                self.wfile.write(piece)
                sent += len(piece)
            if self.command != "HEAD" and whole is not None and sent < whole:
                raise _HangUpError  # the store went away in the middle of its answer

    return Handler


def _older(name: str, value: str, shift: timedelta) -> str:
    """The store's clock is ahead: to it, the request is so much older."""
    if not shift or name.lower() != "x-amz-date":
        return value
    layout = "%Y%m%dT%H%M%SZ"
    return (datetime.strptime(value, layout) - shift).strftime(layout)


def _later(name: str, value: str, shift: timedelta) -> str:
    if not shift or name.lower() != "date":
        return value
    return format_datetime(parsedate_to_datetime(value) + shift, usegmt=True)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: that a client hangs up is what many a test is about."""


@contextmanager
def faulty_store(upstream: str, *, tls: ssl.SSLContext | None = None) -> Iterator[FaultyStore]:
    """Listen on loopback in front of the store at `upstream` (host:port)."""
    server = _Server(("127.0.0.1", 0), BaseHTTPRequestHandler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    proxy = FaultyStore(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass = _handler(proxy, upstream)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
