"""The last words of a container, as an API server hands them out."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from kubernetes import client

from serving.cluster import LOG_LINES, Cluster

LINE = '{"level": "error", "text": "ValueError: na\u00efve"}'


class Logs(BaseHTTPRequestHandler):
    """Has a log of the pod `crashed`, and nothing else."""

    asked: list[str] = []  # noqa: RUF012

    def do_GET(self):
        self.asked.append(self.path)
        found = "/pods/crashed/log" in self.path
        body = LINE.encode() if found else b"{}"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def cluster():
    Logs.asked.clear()
    server = HTTPServer(("127.0.0.1", 0), Logs)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    api = client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{server.server_port}"))
    try:
        yield Cluster(api)
    finally:
        api.close()
        api.rest_client.pool_manager.clear()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_log_that_is_gone_is_done_without(cluster):
    crashed, gone = ("crashed", "kserve-container"), ("gone", "storage-initializer")
    assert cluster._log_ends("team-a", {gone: False, crashed: True}) == {crashed: LINE}
    urls = [urlsplit(path) for path in Logs.asked]
    assert [url.path for url in urls] == [
        f"/api/v1/namespaces/team-a/pods/{pod}/log" for pod, _ in (gone, crashed)
    ]
    assert [parse_qs(url.query) for url in urls] == [
        {"container": [container], "previous": [previous], "tailLines": [str(LOG_LINES)]}
        for (_, container), previous in ((gone, "False"), (crashed, "True"))
    ]
