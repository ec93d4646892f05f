"""Deadlines for connections. uvicorn has none for incomplete requests and unread responses.

A deadline starts when the peer has to send something, and ends when all of it was received; sending one byte
at a time does not extend it.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from embedded.kfp import failures


@dataclass(frozen=True)
class Limits:
    """Deadlines of every connection, in seconds, and the number of concurrent connections."""

    headers: float = 10
    body: float = 120
    """About 32 MiB at 300 kB/s."""
    answer: float = 60
    connections: int = 256


class DeadlineProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with deadlines; `limits` is set by `with_limits`."""

    limits = Limits()

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own signature
        super().__init__(*args, **kwargs)
        self._awaited: object = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for headers, or close the connection if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.abort()
            return
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Process data, and update the deadline."""
        super().data_received(data)
        self._expect(received=True)

    def on_response_complete(self) -> None:
        """Update the deadline: part of the next request may have been received already."""
        super().on_response_complete()
        self._expect(received=bool(self.conn.trailing_data[0]))

    def pause_writing(self) -> None:
        """Start the deadline for the peer to read the response."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.limits.answer, self._close)

    def resume_writing(self) -> None:
        """Cancel the deadline: the peer reads again."""
        super().resume_writing()
        _cancel(self._unread)
        self._unread = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all deadlines."""
        _cancel(self._deadline)
        _cancel(self._unread)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer invalid HTTP with the API's error body."""
        data = json.dumps(failures.body(failures.INVALID_ARGUMENT, msg)).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(data))),
                   ("connection", "close")]  # fmt: skip
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            for event in (h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                          h11.Data(data=data), h11.EndOfMessage()):  # fmt: skip
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _expect(self, *, received: bool = False) -> None:
        """Start the deadline of what the peer has to send, unless it is running already."""
        state = self.conn.their_state
        if state is h11.IDLE and (received or self.cycle is None):
            awaited, seconds = "headers", self.limits.headers
        elif state is h11.SEND_BODY:
            awaited, seconds = "body", self.limits.body
        else:  # nothing is due, or the next request on an idle connection, for which uvicorn has a deadline
            _cancel(self._deadline)
            self._awaited = self._deadline = None
            return
        if self._awaited != awaited:
            _cancel(self._deadline)
            self._awaited, self._deadline = awaited, self.loop.call_later(seconds, self._close)

    def _close(self) -> None:
        self.transport.abort()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def with_limits(chosen: Limits) -> type[DeadlineProtocol]:
    """The protocol with the given limits."""
    return type("LimitedProtocol", (DeadlineProtocol,), {"limits": chosen})
