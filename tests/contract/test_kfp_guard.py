"""Cross-site, incomplete and malformed requests: exact codes, each with a control."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import pytest
from support.kfp_server import TENANT, KfpServer
from support.waiting import eventually

pytestmark = pytest.mark.contract
API = "/apis/v2beta1"
NAME = "pipelines.example.org"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KfpServer]:
    folder = tmp_path_factory.mktemp("kfp")
    (folder / "launcher.yaml").write_text("")
    options = ("--allow-host", NAME, "--header-seconds", "1", "--body-seconds", "2", "--connections", "20")
    server = KfpServer(folder / "data", folder / "launcher.yaml", options=options)
    try:
        yield server.start()
    finally:
        server.stop()
    assert "Traceback" not in server.log


def ask(server: KfpServer, headers: dict[str, str], path: str = f"{API}/experiments") -> tuple[int, Any]:
    status, body = server.request("GET", path, headers=headers)
    return status, json.loads(body) if body.startswith(b"{") else body


def post(server: KfpServer, body: Any, path: str = "/experiments", **headers: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, answer = server.request("POST", API + path, data, {"Content-Type": "application/json", **headers})
    return status, json.loads(answer)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "[::1]", NAME, f"{NAME}."])
def test_accepted_host_names_are_valid_with_any_port(server: KfpServer, host: str) -> None:
    assert ask(server, {"Host": host})[0] == 200
    assert ask(server, {"Host": f"{host}:{server.port}"})[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", f"{NAME}.evil.example", "192.0.2.7", f"evil.example@{NAME}", "[", "x:y:z"]
)
def test_other_host_names_are_refused(server: KfpServer, host: str) -> None:
    for path in ("/", f"{API}/healthz", f"{API}/experiments"):
        status, body = ask(server, {"Host": host}, path)
        assert (status, body["code"]) == (403, 7)


def test_only_pages_of_the_same_origin_are_accepted(server: KfpServer) -> None:
    own = f"http://127.0.0.1:{server.port}"
    for origin in (
        "https://elsewhere.example",
        "null",
        "http://127.0.0.1:1",
        f"file://127.0.0.1:{server.port}",
    ):
        assert ask(server, {"Origin": origin})[0] == 403
        assert post(server, {"display_name": "x"}, Origin=origin)[0] == 403
    for site in ("cross-site", "same-site", "invented"):
        assert ask(server, {"Sec-Fetch-Site": site})[0] == 403
        assert ask(server, {"Sec-Fetch-Site": site}, "/")[0] == 403
    for headers in ({"Origin": own}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}):
        assert ask(server, headers)[0] == 200
        assert ask(server, headers, "/")[0] == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_bodies_that_need_no_preflight_are_415(server: KfpServer, kind: str) -> None:
    status, body = post(server, {"display_name": f"k-{kind}"}, **{"Content-Type": kind})
    assert (status, body["code"]) == (415, 3)
    assert set(body) == {"error", "code", "message", "details"}
    control = {"Content-Type": "application/json; charset=utf-8"}
    assert post(server, {"display_name": f"k-{kind}"}, **control)[0] == 200


def test_every_response_has_security_headers(server: KfpServer) -> None:
    import urllib.request

    for path in ("/", f"{API}/runs", f"{API}/healthz"):
        with urllib.request.urlopen(server.url + path) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert not [name for name in headers if name.startswith("access-control")]


def connection(server: KfpServer, data: bytes) -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    opened.sendall(data)
    return opened


def read_answer(answers: BinaryIO) -> bytes:
    """Read the next response; return its status line."""
    status, size = answers.readline().strip(), 0
    while line := answers.readline().strip():
        if line.lower().startswith(b"content-length:"):
            size = int(line.split(b":")[1])
    answers.read(size)
    return status


HEAD = b"POST /apis/v2beta1/experiments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHost: localh", HEAD + b"Content-Length: 9\r\n\r\n{"]
)
def test_an_incomplete_request_is_closed(server: KfpServer, sent: bytes) -> None:
    with connection(server, sent) as half:
        assert half.recv(1000) == b""


def test_sending_bytes_does_not_extend_the_deadline(server: KfpServer) -> None:
    with connection(server, b"GET / HTTP/1.1\r\nX: ") as slow, pytest.raises(OSError):
        for _ in range(600):
            slow.sendall(b"x")
            time.sleep(0.05)


def test_the_second_request_has_a_deadline_too(server: KfpServer) -> None:
    whole = b"GET /apis/v2beta1/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connection(server, whole) as kept:
        answers = kept.makefile("rb")
        assert read_answer(answers) == b"HTTP/1.1 200 OK"
        kept.sendall(whole[:20])
        assert answers.read() == b""
    with connection(server, whole) as kept:
        answers = kept.makefile("rb")
        assert read_answer(answers) == b"HTTP/1.1 200 OK"
        kept.sendall(whole)
        assert read_answer(answers) == b"HTTP/1.1 200 OK"


def test_connections_over_the_limit_are_closed(server: KfpServer) -> None:
    whole = b"GET /apis/v2beta1/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    connections = []
    for _ in range(20):
        one = connection(server, whole)
        assert one.recv(10_000).startswith(b"HTTP/1.1 200")
        connections.append(one)
    with pytest.raises(OSError), connection(server, whole) as refused:
        if refused.recv(1000) == b"":
            raise ConnectionResetError
    for one in connections:
        one.close()
    assert eventually(lambda: server.get(f"{API}/healthz")[0]) == 200


def test_invalid_http_gets_the_error_body(server: KfpServer) -> None:
    with connection(server, b"GET / NONSENSE\r\n\r\n") as wrong:
        answer = wrong.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == 3


@pytest.mark.parametrize("namespace", ["../../kube-system", "Team", "a_b", "a" * 64, "-a", "a/b", "a\n", "ä"])
def test_a_namespace_is_a_dns_label_everywhere(server: KfpServer, namespace: str) -> None:
    import urllib.parse

    quoted = urllib.parse.quote(namespace, safe="")
    for path in ("experiments", "pipelines", "runs", "pipelines/names/x"):
        assert server.get(f"{API}/{path}?namespace={quoted}")[0] == 400
    body = {"display_name": "n", "namespace": namespace}
    assert post(server, body)[0] == 400
    assert post(server, {**body, "name": "n"}, "/pipelines")[0] == 400
    form = (
        b'--X\r\nContent-Disposition: form-data; name="uploadfile"; filename="p.yaml"\r\n\r\n{}\r\n--X--\r\n'
    )
    status, answer = server.request(
        "POST", f"{API}/pipelines/upload?name=x&namespace={quoted}", form,
        {"Content-Type": "multipart/form-data; boundary=X"},
    )  # fmt: skip
    assert (status, "namespace" in json.loads(answer)["message"]) == (400, True)
    assert server.get(f"{API}/experiments?namespace={TENANT}")[0] == 200


@pytest.mark.parametrize("body", [
    b"[]", b"1", b"null", b"{", b'{"display_name": 5}', b'{"display_name": {}}',
    b'{"display_name": "\\ud800"}',
    b'{"display_name": "x", "description": ["a"]}', b'{"display_name": "x", "unknown": 1}', b"[" * 100_000,
    b'{"display_name": NaN}', b"\xff", b'{"display_name": "x", "namespace": 7}', b'{"display_name": ""}', b"",
])  # fmt: skip
def test_a_malformed_body_is_400(server: KfpServer, body: bytes) -> None:
    for path in ("/experiments", "/pipelines", "/runs"):
        status, answer = post(server, body, path)
        assert (status, answer["code"]) == (400, 3)


def test_fields_are_accepted_in_snake_and_camel_case(server: KfpServer) -> None:
    assert post(server, {"display_name": "snake", "description": None})[0] == 200
    assert post(server, {"displayName": "camel"})[1]["display_name"] == "camel"


def test_a_body_that_is_too_large_is_413(server: KfpServer) -> None:
    assert post(server, {"display_name": "x", "description": "y" * (1024 * 1024)})[0] == 413


def test_unknown_query_parameters_are_refused(server: KfpServer) -> None:
    assert server.get(f"{API}/experiments?invented=1")[0] == 400
    assert server.get(f"{API}/experiments?page_size=1&page_size=2")[0] == 400
    assert server.get(f"{API}/experiments?page_size=1")[0] == 200


@pytest.mark.parametrize("query", [
    "page_size=--5", "page_size=1.5", "page_size=9999999999", "page_size=%D9%A3", "page_token=NQ==",
    "page_token=W1tdLDEsMl0=", "page_token=%E2%82%AC", "sort_by=created_at%20sideways", "sort_by=%00",
])  # fmt: skip
def test_a_malformed_list_option_is_400(server: KfpServer, query: str) -> None:
    status, body = server.get(f"{API}/experiments?{query}")
    assert (status, json.loads(body)["code"]) == (400, 3)


def predicate(**fields: Any) -> dict[str, Any]:
    return {"key": "display_name", "operation": "EQUALS", **fields}


@pytest.mark.parametrize("filter_body", [
    [], 5, "x", {"predicates": 5}, {"predicates": [5]}, {"predicates": [{}]}, {"unknown": []},
    {"predicates": [predicate()]},
    {"predicates": [predicate(int_value=2**70)]},
    {"predicates": [predicate(string_value=["x"])]},
    {"predicates": [predicate(string_value="x", stringValue="y")]},
    {"predicates": [predicate(string_value="x", operation="LIKE")]},
    {"predicates": [predicate(string_value="x", operation=99)]},
    {"predicates": [predicate(string_value="x", operation=0)]},
    {"predicates": [predicate(string_value="x", operation=True)]},
    {"predicates": [predicate(operation="IN", string_value="x")]},
    {"predicates": [predicate(operation="IN", string_values={"values": [[1]]})]},
    {"predicates": [predicate(operation="IN", string_values=[1])]},
    {"predicates": [predicate(key=["a"], string_value="x")]},
    {"predicates": [predicate(key="storage_state", string_value="GONE")]},
    {"predicates": [predicate(key="created_at", timestamp_value="yesterday")]},
    {"predicates": [predicate(key="created_at", timestamp_value="2026-01-01T00:00:00")]},
    {"predicates": [predicate(key="created_at", timestamp_value="0001-01-01T00:00:00+23:00")]},
    {"predicates": [predicate(string_value="x")] * 1000},
])  # fmt: skip
def test_a_malformed_filter_is_400(server: KfpServer, filter_body: Any) -> None:
    import urllib.parse

    status, body = server.get(f"{API}/experiments?filter={urllib.parse.quote(json.dumps(filter_body))}")
    assert (status, json.loads(body)["code"]) == (400, 3)
    good = urllib.parse.quote(json.dumps({"predicates": [predicate(string_value="x")]}))
    assert server.get(f"{API}/experiments?filter={good}")[0] == 200
