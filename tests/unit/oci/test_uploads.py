"""Uploads to a registry that says how far they are, and failures in its answers; on loopback, without TLS."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from oci import failures, manifests, uploads
from oci.client import ImageRegistry
from oci.manifests import Descriptor

CONTENT = bytes(range(256)) * 4096


class Continuing(BaseHTTPRequestHandler):
    """Takes half of the first upload, and says so; the protocol of the specification otherwise."""

    protocol_version = "HTTP/1.1"
    received = b""
    requests: list[str]
    hidden = 0
    """How many bytes it has written, but does not tell the first time that it is asked."""

    def answer(self, status: int, **headers: str) -> None:
        type(self).requests.append(f"{self.command} {status}")
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def do_HEAD(self) -> None:
        self.answer(404)

    def do_POST(self) -> None:
        self.answer(202, Location="/v2/a/blobs/uploads/1")

    def do_PATCH(self) -> None:
        first = not type(self).received
        size = int(self.headers["Content-Length"])
        start = int((self.headers["Content-Range"] or "0-").partition("-")[0])
        if start != len(type(self).received):
            self.rfile.read(size)
            self.answer(416)
            return
        type(self).received += self.rfile.read(size // 2 if first else size)
        if first:
            self.connection.close()
            self.close_connection = True
            type(self).requests.append("PATCH cut")
        else:
            self.answer(202, Location="/v2/a/blobs/uploads/1")

    def do_GET(self) -> None:
        told = len(type(self).received) - type(self).hidden
        type(self).hidden = 0
        self.answer(204, Range=f"0-{told - 1}", Location="/v2/a/blobs/uploads/1")

    def do_PUT(self) -> None:
        matches = f"digest={manifests.digest_of(type(self).received).replace(':', '%3A')}" in self.path
        self.answer(201 if matches else 400)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, type[Continuing]]]:
    handler = type("Handler", (Continuing,), {"requests": [], "received": b""})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    server.server_close()
    thread.join()


def sent(address: str) -> list[int]:
    """Upload the content; return the offsets from which it was read."""
    blob = Descriptor("", manifests.digest_of(CONTENT), len(CONTENT))
    offsets: list[int] = []

    def read(offset: int) -> Iterator[bytes]:
        offsets.append(offset)
        for start in range(offset, len(CONTENT), 1 << 14):
            yield CONTENT[start : start + (1 << 14)]

    with ImageRegistry(address, plain_http=True) as registry:
        uploads.upload(registry, "a", blob, read)
    return offsets


def test_an_upload_continues_where_it_was_cut(server):
    address, handler = server
    assert sent(address) == [0, len(CONTENT) // 2]
    assert handler.received == CONTENT
    assert handler.requests == ["HEAD 404", "POST 202", "PATCH cut", "GET 204", "PATCH 202", "PUT 201"]


def test_an_offset_that_was_outdated_is_asked_for_again(server):
    address, handler = server
    handler.hidden = 1000
    assert sent(address) == [0, len(CONTENT) // 2 - 1000, len(CONTENT) // 2]
    assert handler.received == CONTENT
    assert handler.requests[2:] == ["PATCH cut", "GET 204", "PATCH 416", "GET 204", "PATCH 202", "PUT 201"]


def response(status: int, code: str = "", detail: Any = None, **headers: str) -> httpx.Response:
    errors = {"errors": [{"code": code, "message": "words of the registry", "detail": detail}]}
    request = httpx.Request("PUT", "https://r.example.org/v2/")
    return httpx.Response(status, json=errors, headers=headers, request=request)


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (response(401, "UNAUTHORIZED"), 2, "refused the login"),
        (response(401, "DENIED", **{"www-authenticate": 'Bearer realm="x"'}), 2, "has no right"),
        (response(403, "DENIED"), 2, "has no right"),
        (response(404, "NAME_UNKNOWN"), 2, "nothing to"),
        (response(405, "UNSUPPORTED"), 1, "read-only"),
        (response(413), 1, "larger than"),
        (response(429, "TOOMANYREQUESTS"), 1, "too many requests"),
        (response(400, "MANIFEST_INVALID"), 1, "rejected as invalid"),
        (response(500, "UNKNOWN", {"DriverName": "filesystem", "Enclosed": {"Err": 28}}), 1, "disk is full"),
        (response(500, "UNKNOWN", "write: no space left on device"), 1, "disk is full"),
        (response(507), 1, "disk is full"),
        (response(500, "UNKNOWN"), 1, "It answered 500"),
    ],
)
def test_a_refusal_says_what_and_whose_it_is(answer, code, said):
    error = failures.explain(answer, "r.example.org", "write to a", has_login=True)
    assert error.exit_code == code
    assert said in str(error)
    assert not re.search(r"\.\.|: \.", str(error))


def test_an_answer_that_is_no_json_is_named_by_its_status():
    page = httpx.Response(502, text="<html>", request=httpx.Request("GET", "https://r.example.org"))
    error = failures.explain(page, "r.example.org", "read a", has_login=False)
    assert error.why == "It answered 502: Bad Gateway."
