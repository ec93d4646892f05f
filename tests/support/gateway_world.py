"""Run the gateway's nginx between raw requests and a predictor; a script for the image `gateway`.

Reads a JSON list of requests from the arguments, each the bytes of one HTTP request as Latin-1, and
prints a JSON list of [status, headers, body]. The predictor answers what reached it.
"""

import http.client
import http.server
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import Any

sys.path.insert(0, "/usr/lib/slipway")
import gateway  # type: ignore[import-not-found]

PORT = 8080
NAMES = 5353
PREDICTOR = 8081
"""Replaces port 80 of predictors, which this user can't open."""


class Predictor(http.server.BaseHTTPRequestHandler):
    """A predictor that returns the request it received."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        received = len(self.rfile.read(length))
        kept = {name: self.headers.get(name) for name in ("Host", "Content-Type", "kubeflow-userid")}
        body = json.dumps([self.command, self.path, received, kept]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _answer  # noqa: N815

    def log_message(self, *_words: object) -> None:
        """Log nothing: standard output is the result."""


def resolve(names: socket.socket) -> None:
    """A DNS server: the predictor of iris in team-a is this machine, and others don't exist."""
    while True:
        query, sender = names.recvfrom(512)
        known = query[12:].startswith(b"\x0eiris-predictor\x06team-a\x03svc")
        end = query.index(b"\0", 12) + 5
        header = query[:2] + (b"\x81\x80" if known else b"\x81\x83")
        header += struct.pack(">HHHH", 1, int(known), 0, 0)
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\x7f\0\0\1" if known else b""
        names.sendto(header + query[12:end] + answer, sender)


def ask(request: str) -> list[Any]:
    """Send the bytes of a request and return status, headers and body."""
    with socket.create_connection(("127.0.0.1", PORT), timeout=20) as connection:
        connection.sendall(request.encode("latin-1"))
        answer = http.client.HTTPResponse(connection, method=request.partition(" ")[0])
        answer.begin()
        return [answer.status, dict(answer.getheaders()), answer.read().decode()]


def main(requests: list[str]) -> None:
    """Start everything, send the requests, and stop."""
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("127.0.0.1", NAMES))
    threading.Thread(target=resolve, args=(names,), daemon=True).start()
    text = gateway.configuration(f"nameserver 127.0.0.1:{NAMES}\n")
    text = text.replace("http://$predictor$path", f"http://$predictor:{PREDICTOR}$path")
    text = text.replace(f"[127.0.0.1:{NAMES}]", f"127.0.0.1:{NAMES}")
    path = gateway.SCRATCH / "test.conf"
    path.write_text(text)
    predictor = http.server.ThreadingHTTPServer(("127.0.0.1", PREDICTOR), Predictor)
    threading.Thread(target=predictor.serve_forever, daemon=True).start()
    nginx = subprocess.Popen(["/usr/sbin/nginx", "-e", "stderr", "-c", str(path)])
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", PORT)) == 0:
                    break
            time.sleep(0.1)
        print(json.dumps([ask(request) for request in requests]))
    finally:
        nginx.terminate()
        nginx.wait()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
