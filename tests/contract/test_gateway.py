"""The gateway's nginx in its image: only the paths that clients of a model need are forwarded."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.containerd import Node, containerd

pytestmark = [pytest.mark.contract, pytest.mark.timeout(600)]

IRIS = "/serving/team-a/iris"
MODEL = f"{IRIS}/v2/models/iris"
INFER = f"{MODEL}/infer"
LOOKS = [f"{IRIS}/v2/health/live", f"{IRIS}/v2/health/ready", MODEL, f"{MODEL}/ready"]
WORLD = (Path(__file__).parents[1] / "support" / "gateway_world.py").read_text(encoding="utf-8")


class Answer(NamedTuple):
    """A response of the gateway."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def reached(self) -> list[Any]:
        """The request that the predictor received."""
        assert self.status == 200, self
        report: list[Any] = json.loads(self.body)
        return report


def request(line: str, body: str = "", **headers: str) -> str:
    sent = {"Host": "models", "Connection": "close"} | headers
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in sent.items())
    return f"{line} HTTP/1.1\r\n{head}\r\n{body}"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with containerd(tmp_path_factory.mktemp("ctd")) as running:
        yield running


def ask(node: Node, requests: Sequence[str]) -> list[Answer]:
    text = node.run("gateway", "python3", "-c", WORLD, json.dumps(requests))
    return [Answer(*each) for each in json.loads(text.splitlines()[-1])]


def test_allowed_paths_are_forwarded_unchanged(node: Node) -> None:
    looks = [request(f"{method} {path}") for path in LOOKS for method in ("GET", "HEAD")]
    infer = request(f"POST {INFER}", "{}", Content_Length="2", Content_Type="a/b", kubeflow_userid="x")
    unchunked = request(f"POST {INFER}", "2\r\n{}\r\n0\r\n\r\n", Transfer_Encoding="chunked")
    *answers, inferred, chunked = ask(node, [*looks, infer, unchunked])
    host = "iris-predictor.team-a.svc.cluster.local"
    for path, answer in zip(LOOKS, answers[::2], strict=True):
        seen = {"Host": host, "Content-Type": None, "kubeflow-userid": None}
        assert answer.reached == ["GET", path.removeprefix(IRIS), 0, seen]
    assert {answer.status for answer in answers[1::2]} == {200}
    seen = {"Host": host, "Content-Type": "a/b", "kubeflow-userid": None}
    assert inferred.reached == ["POST", "/v2/models/iris/infer", 2, seen], "no identity is forwarded"
    assert chunked.reached[:3] == ["POST", "/v2/models/iris/infer", 2]


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get")


def test_other_methods_are_405_with_allowed_methods(node: Node) -> None:
    wrong = [(method, path) for path in LOOKS for method in METHODS if method not in ("GET", "HEAD")]
    wrong += [(method, INFER) for method in METHODS if method != "POST"]
    answers = ask(node, [request(f"{method} {path}") for method, path in wrong])
    for (method, path), answer in zip(wrong, answers, strict=True):
        if method == "get":
            assert answer.status == 400, "nginx refuses unknown methods"
            continue
        assert answer.status == 405, (method, path, answer)
        assert answer.headers["Allow"] == ("POST" if path == INFER else "GET, HEAD")


UNKNOWN = [
    "/",
    "/serving",
    "/serving/team-a",
    "/serving/team-a/iris",
    f"{IRIS}/",
    f"{IRIS}/metrics",
    f"{IRIS}/docs",
    f"{IRIS}/v1/models/iris:predict",
    f"{IRIS}/v2",
    f"{IRIS}/v2/",
    f"{IRIS}/v2/docs",
    f"{IRIS}/v2/health",
    f"{IRIS}/v2/models",
    f"{IRIS}/v2/models/other",
    f"{IRIS}/v2/models/other/infer",
    f"{IRIS}/v2/models/iris2/infer",
    f"{IRIS}/v2/repository/index",
    f"{IRIS}/v2/repository/models/iris/load",
    f"{IRIS}/v2/repository/models/iris/unload",
    f"{MODEL}/docs",
    f"{MODEL}/load",
    f"{MODEL}/unload",
    f"{MODEL}/versions/1",
    f"{MODEL}/versions/1/infer",
    f"{MODEL}/versions/1/ready",
    f"{MODEL}/infer_stream",
    f"{INFER}/x",
    "/serving/team-a/Iris/v2/health/live",
    "/serving/a.b/iris/v2/health/live",
    "/serving/team-a@elsewhere/iris/v2/health/live",
    "/serving/team-a/iris:81/v2/health/live",
    "/serving/-a/iris/v2/health/live",
]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_other_path_is_404_whatever_the_method(node: Node, method: str) -> None:
    answers = ask(node, [request(f"{method} {path}") for path in UNKNOWN])
    for path, answer in zip(UNKNOWN, answers, strict=True):
        assert answer.status == 404, (path, answer)
        assert answer.headers["Content-Type"] == "application/json"
        assert "/v2/health/live" in json.loads(answer.body)["error"]


UNLOAD = f"{IRIS}/v2/repository/models/iris/unload"
TRICKS = [
    f"{MODEL}/ready/../../../repository/models/iris/unload",
    f"{MODEL}/ready/%2e%2e/%2e%2e/%2e%2e/repository/models/iris/unload",
    f"{MODEL}/ready/..%2f..%2f..%2frepository/models/iris/unload",
    f"{MODEL}/..%2f..%2frepository%2fmodels%2firis%2funload",
    f"{MODEL}/..\\..\\repository\\models\\iris\\unload",
    f"{MODEL}/..;/..;/repository/models/iris/unload",
    f"{IRIS}/v2/health/live/../../repository/index",
    f"{INFER}?/../../repository/models/iris/unload",
    f"{INFER}#/../../repository/models/iris/unload",
    f"{INFER}?a=b",
    f"{INFER};a=b",
    f"{INFER}%00",
    f"{INFER}%20",
    f"{INFER}%0d%0aX:y",
    f"{INFER}/",
    f"{INFER}.",
    f"{INFER}//",
    "//serving/team-a/iris/v2/health/live",
    f"/x/..{INFER}",
    "/./serving/team-a/iris/v2/health/live",
    f"http://models{UNLOAD}",
    "/serving/team-a/iris.team-b.svc.cluster.local%23/v2/health/live",
    "/serving/team-a%2firis/v2/health/live",
    "/serving/team-a/iris%2fv2/health/live",
]


def respelled(path: str) -> list[str]:
    """Return every spelling of a path with one letter encoded, changed in case, or one slash doubled."""
    spellings = []
    for at, letter in enumerate(path):
        before, after = path[:at], path[at + 1 :]
        if at:  # without its first slash it is not a path
            spellings.append(f"{before}%{ord(letter):02x}{after}")
        if letter.isalpha():
            spellings.append(before + letter.upper() + after)
        if letter == "/":
            spellings += [before + slashes + after for slashes in ("//", "/./", "/x/../", "/%2e/", "/%2f")]
    return spellings


@pytest.mark.parametrize(("method", "path"), [("POST", INFER), ("GET", f"{IRIS}/v2/health/live")])
def test_other_spellings_of_a_path_are_not_forwarded(node: Node, method: str, path: str) -> None:
    spelled = respelled(path)
    assert len(spelled) > 60
    control, *answers = ask(node, [request(f"{method} {each}") for each in (path, *spelled)])
    assert control.status == 200
    assert {each: a.status for each, a in zip(spelled, answers, strict=True) if a.status != 404} == {}


def test_encoded_paths_do_not_reach_the_repository(node: Node) -> None:
    requests = [request(f"{method} {path}") for path in TRICKS for method in ("GET", "POST")]
    answers = ask(node, [*requests, request(f"POST http://elsewhere{INFER}")])
    control = answers.pop()
    assert control.reached[1] == "/v2/models/iris/infer", "the path of an absolute URL is used"
    for sent, answer in zip(requests, answers, strict=True):
        # nginx answers 400 for a path above the root.
        assert answer.status in (404, 400), (sent, answer)
        assert answer.status == 404 or "Bad Request" in answer.body


def test_pipelined_requests_are_checked(node: Node) -> None:
    hidden = request(f"POST {UNLOAD}", Content_Length="0")
    both = request(f"GET {MODEL}/ready", hidden, Connection="keep-alive")
    smuggled = request(
        f"POST {INFER}", "0\r\n\r\n" + hidden, Transfer_Encoding="chunked", Content_Length=str(len(hidden))
    )
    first, mixed = ask(node, [both, smuggled])
    assert first.reached[1] == "/v2/models/iris/ready"
    assert mixed.status == 400, "two lengths make the start of the next request ambiguous"


def test_body_limits_depend_on_the_path(node: Node) -> None:
    mebibyte = 1024 * 1024
    small = request(f"POST {INFER}", "x" * 1024, Content_Length="1024")
    large = request(f"POST {INFER}", Content_Length=str(16 * mebibyte + 1))
    chunk = f"{2:x}\r\n{{}}\r\n0\r\n\r\n"
    looking = [request(f"GET {MODEL}", "{}", Content_Length="2")]
    looking.append(request(f"GET {MODEL}", chunk, Transfer_Encoding="chunked"))
    passed, refused, *looked = ask(node, [small, large, *looking])
    assert passed.reached[2] == 1024
    for answer in (refused, *looked):
        assert answer.status == 413, answer
        assert "too large" in json.loads(answer.body)["error"]


def test_an_endpoint_that_does_not_exist_is_502(node: Node) -> None:
    [answer] = ask(node, [request("GET /serving/team-b/iris/v2/health/live")])
    assert (answer.status, answer.headers["Content-Type"]) == (502, "application/json")


def test_the_gateways_health_path_responds(node: Node) -> None:
    [answer] = ask(node, [request("GET /healthz")])
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "ok"})
