"""The model server over real HTTP: its responses and errors."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from support.models import with_categories

from embedded.images.programs import model_server
from tabular import v2
from tabular.files import MODEL
from tabular.model import Model
from tabular.requests import MAX_BYTES

DATA = with_categories(300)
HOME = "/v2/models/churn"


def _environment(port: int) -> dict[str, str]:
    root = Path(model_server.__file__).parents[3]
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(root), "MODEL_NAME": "churn", "PORT": str(port)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("model")
    DATA.fit(n_estimators=10).write(made)
    return made


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        chosen = free.getsockname()[1]
    command = [sys.executable, model_server.__file__, str(folder)]
    process = subprocess.Popen(command, env=_environment(chosen))
    try:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None
            assert time.monotonic() < deadline
            try:
                httpx.get(f"http://127.0.0.1:{chosen}/v2/health/ready").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.05)
        yield chosen
    finally:
        process.terminate()
        assert process.wait(20) in {0, -15}


@pytest.fixture(scope="module")
def client(port: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as opened:
        yield opened


def _request(folder: Path, rows: int = 1) -> dict[str, Any]:
    return v2.request(Model.load(folder).schema, DATA.held_out.slice(0, rows))


def _infer(client: httpx.Client, document: Any) -> httpx.Response:
    return client.post(f"{HOME}/infer", json=document)


def test_responses_are_the_models_predictions(client: httpx.Client, folder: Path) -> None:
    model = Model.load(folder)
    answer = _infer(client, v2.request(model.schema, DATA.held_out))
    assert answer.status_code == 200
    predictions = v2.read_response(answer.json(), DATA.held_out.num_rows, model.schema)
    expected = model.predict(DATA.held_out)
    assert predictions.labels.tolist() == expected.labels.tolist()
    assert np.array_equal(predictions.probabilities, expected.probabilities)


def test_columns_may_come_in_any_order(client: httpx.Client, folder: Path) -> None:
    document = _request(folder, 5)
    answer = _infer(client, document).json()
    document["inputs"].reverse()
    assert _infer(client, document | {"id": "a-7"}).json() == {**answer, "id": "a-7"}


def test_many_rows_are_answered(client: httpx.Client, folder: Path) -> None:
    """A request that is large enough to be processed in a thread."""
    document = _request(folder, 1)
    for tensor in document["inputs"]:
        tensor["data"], tensor["shape"] = tensor["data"] * 20_000, [20_000]
    assert len(json.dumps(document)) > model_server.LARGE
    answer = _infer(client, document).json()
    assert answer["outputs"][0]["shape"] == [20_000]
    assert len(set(answer["outputs"][0]["data"])) == 1


def test_unknown_category_is_accepted(client: httpx.Client, folder: Path) -> None:
    document = _request(folder)
    next(each for each in document["inputs"] if each["name"] == "colour")["data"] = ["never seen"]
    assert _infer(client, document).status_code == 200


def test_metadata_names_columns_categories_and_classes(client: httpx.Client) -> None:
    metadata = client.get(HOME).json()
    assert metadata["name"] == "churn"
    assert [(each["name"], each["datatype"], each["shape"]) for each in metadata["inputs"]] == [
        ("n0", "FP32", [-1]),
        ("n1", "FP32", [-1]),
        ("colour", "BYTES", [-1]),
        ("code", "BYTES", [-1]),
    ]
    assert metadata["inputs"][3]["parameters"] == {"categories": ["01", "1", "10"]}
    assert [(each["name"], each["datatype"], each["shape"]) for each in metadata["outputs"]] == [
        ("label", "BYTES", [-1]),
        ("probabilities", "FP32", [-1, 3]),
    ]
    assert metadata["parameters"] == {"classes": ["high", "low", "none"]}


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", f"{HOME}/ready", HOME])
def test_documents_are_served_to_get_and_head(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    refused = client.post(path, json={})
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path",
    [
        "/v2/repository/index",
        "/v2/repository/models/churn/unload",
        "/v2/repository/models/churn/load",
        "/v2/models/other/infer",
        f"{HOME}/versions/1/infer",
        f"{HOME}/infer/",
        f"{HOME}/explain",
        "/v1/models/churn:predict",
        "/metrics",
        "/docs",
        "/",
    ],
)
def test_other_paths_are_404(client: httpx.Client, path: str) -> None:
    """Such as the API that unloads a model, which any client could call."""
    for method in ("GET", "POST", "DELETE"):
        assert client.request(method, path).status_code == 404
    assert client.get(f"{HOME}/ready").status_code == 200


def test_infer_accepts_only_post(client: httpx.Client) -> None:
    refused = client.get(f"{HOME}/infer")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("n0", {"data": [None]}, "Column 'n0' has null. It must be a number"),
        ("n0", {"data": [1e39]}, "Column 'n0' has 1e+39"),
        ("n0", {"datatype": "BOOL"}, "Column 'n0' has datatype 'BOOL'"),
        ("n0", {"name": "n9"}, "Column 'n9' is unknown"),
        ("n0", {"name": "n1"}, "Column 'n1' appears twice"),
        ("n0", {"shape": [2], "data": [1, 2]}, "has shape"),
        ("colour", {"data": ["\ud800"]}, "Column 'colour' has text that is not valid Unicode"),
    ],
)
def test_invalid_columns_get_400_with_their_name(
    client: httpx.Client, folder: Path, name: str, change: dict[str, Any], words: str
) -> None:
    document = _request(folder)
    next(each for each in document["inputs"] if each["name"] == name).update(change)
    refused = client.post(f"{HOME}/infer", content=json.dumps(document))
    assert refused.status_code == 400
    assert words in refused.json()["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"inputs": [NaN]}', b"[" * 100_000, b"\xff"])
def test_invalid_bodies_get_400(client: httpx.Client, body: bytes) -> None:
    refused = client.post(f"{HOME}/infer", content=body)
    assert refused.status_code == 400
    assert "The request" in refused.json()["error"]


@pytest.mark.parametrize("announced", [True, False])
def test_large_bodies_get_413(client: httpx.Client, announced: bool) -> None:
    body = b" " * (MAX_BYTES + 1)
    content = body if announced else iter([body[:-1], body[-1:]])
    try:
        refused = client.post(f"{HOME}/infer", content=content)
    except httpx.WriteError:
        return  # It was refused before the body was sent.
    assert refused.status_code == 413
    assert refused.json() == {"error": "The request is larger than 8 MiB."}


def test_largest_body_is_accepted(client: httpx.Client) -> None:
    assert client.post(f"{HOME}/infer", content=b" " * MAX_BYTES).status_code == 400


def test_compressed_bodies_get_415(client: httpx.Client) -> None:
    refused = client.post(f"{HOME}/infer", content=b"x", headers={"Content-Encoding": "gzip"})
    assert refused.status_code == 415


def test_disconnected_client_does_not_affect_others(port: int, client: httpx.Client, folder: Path) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"POST {HOME}/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{".encode())
    assert _infer(client, _request(folder)).status_code == 200


@pytest.mark.parametrize("sent", ["GARBAGE\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
def test_invalid_http_gets_400(port: int, sent: str) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")


def test_body_that_does_not_arrive_gets_408(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setattr(model_server, "BODY_SECONDS", 0.05)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"method": "POST", "path": f"{HOME}/infer", "headers": [], "type": "http"}
    asyncio.run(model_server.Server("churn", Model.load(folder))(scope, receive, send))
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


def _exit(folder: Path, **changes: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, model_server.__file__, str(folder)],
        env=_environment(0) | changes,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stderr


def test_invalid_model_ends_the_server_with_the_reason(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / MODEL).write_bytes(b"\x80\x04N.")
    code, printed = _exit(tmp_path)
    assert code == 1
    assert "model.onnx is not a permitted model, and was not loaded" in printed
    assert "Traceback" not in printed


def test_folder_without_a_model_ends_the_server(tmp_path: Path) -> None:
    code, printed = _exit(tmp_path)
    assert code == 1
    assert "schema.json" in printed
    assert "Traceback" not in printed
