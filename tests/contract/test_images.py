"""Images in a real containerd: imported in parts, and running as they will in the cluster."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from embedded import images
from embedded.images import code
from embedded.toolchain import debian

pytestmark = pytest.mark.contract


@dataclass
class Node:
    """A containerd of the test's own."""

    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def containerd_socket(self) -> Path:
        return self.folder / "s.sock"

    def ensure(self, name: str) -> str:
        return images.ensure(name, self, self.said.append)

    def ctr(self, *arguments: str) -> str:
        command = ["ctr", "--address", str(self.containerd_socket), "--namespace", "k8s.io", *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def run(self, name: str, *command: str) -> str:
        """Run a command in the image, read-only, as its user, without a network."""
        scratch = "type=tmpfs,dst=/tmp,options=mode=1777"
        identity = f"test-{time.monotonic_ns()}"
        return self.ctr(
            "run", "--rm", "--read-only", "--mount", scratch, self.ensure(name), identity, *command
        )


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    debian.ensure()
    folder = tmp_path_factory.mktemp("ctd")
    settings = {"root": folder / "root", "state": folder / "state"}
    text = "version = 2\ndisabled_plugins = ['io.containerd.grpc.v1.cri']\n"
    text += "".join(f"{name} = '{path}'\n" for name, path in settings.items())
    (folder / "config.toml").write_text(f"{text}[grpc]\naddress = '{folder / 's.sock'}'\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["containerd", "--config", str(folder / "config.toml")], stdout=log, stderr=log
        )
    found = Node(folder)
    try:
        deadline = time.monotonic() + 30
        while not found.containerd_socket.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        found.ctr("version")
        yield found
    finally:
        process.terminate()
        process.wait(20)


def test_an_image_that_is_there_is_not_touched(node: Node) -> None:
    reference = node.ensure("pause")
    node.said.clear()
    started = time.monotonic()
    assert node.ensure("pause") == reference == images.reference("pause")
    assert time.monotonic() - started < 2
    assert node.said == []
    assert "io.cri-containerd.pinned=pinned" in node.ctr("images", "list", f"name=={reference}")


def test_calls_side_by_side_import_each_layer_once(node: Node) -> None:
    names = ["gateway", "pause", "gateway", "pause"]
    threads = [threading.Thread(target=node.ensure, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    listed = node.ctr("images", "list", "--quiet").split()
    assert {images.reference("gateway"), images.reference("pause")} <= set(listed)


def test_a_change_of_code_imports_kilobytes(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = node.ensure("pipelines")
    monkeypatch.setattr(code, "PROJECT", tmp_path)
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage" / "__init__.py").write_text("changed = True\n")
    node.said.clear()
    second = node.ensure("pipelines")
    assert second != first
    assert node.said[-1] == "imported image pipelines, 0.0 MB new"
    assert node.run("pipelines", "python3", "-c", "import storage; print(storage.changed)") == "True\n"


def test_the_pipelines_image_has_what_steps_and_jobs_import(node: Node) -> None:
    program = (
        "import os, json, kfp, sklearn, pandas, boto3, minio, kubernetes, cryptography, starlette, uvicorn,"
        " storage.reconcile, infra.jobs.webhook_certificates, embedded.kfp;"
        " print(json.dumps([os.getuid(), sklearn.__version__, pandas.__version__]))"
    )
    uid, *versions = json.loads(node.run("pipelines", "python3", "-W", "error::ImportWarning", "-c", program))
    import pandas
    import sklearn

    assert (uid, versions) == (65532, [sklearn.__version__, pandas.__version__])
    assert node.run("pipelines", "sh", "-c", 'd=$(mktemp -d) && printf %s "$d"').startswith("/tmp/")


def test_the_model_server_and_the_initializer_have_what_they_import(node: Node) -> None:
    program = "import mlserver, mlserver_sklearn; from mlserver.cli import main; print(mlserver.__version__)"
    assert node.run("model-server", "python3", "-c", program).split()[-1] == "1.7.1"
    program = "from kserve_storage import Storage; import boto3; print(Storage.__name__)"
    assert node.run("storage-initializer", "python3", "-c", program).split()[-1] == "Storage"


_WORLD = r"""
import http.client, http.server, json, socket, struct, subprocess, sys, threading, time
sys.path.insert(0, "/usr/lib/slipway")
import gateway

class Predictor(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps([self.headers["Host"], self.path, self.headers.get("kubeflow-userid")]).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass

names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); names.bind(("127.0.0.1", 5353))
def resolve():
    while True:
        query, sender = names.recvfrom(512)
        found = b"iris-predictor" in query and b"team-a" in query
        end = query.index(b"\0", 12) + 5
        header = query[:2] + (b"\x81\x80" if found else b"\x81\x83")
        header += struct.pack(">HHHH", 1, int(found), 0, 0)
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\x7f\0\0\1" if found else b""
        names.sendto(header + query[12:end] + answer, sender)
threading.Thread(target=resolve, daemon=True).start()
# Predictors listen on port 80 of a Service, which this user can not open.
text = gateway.configuration("nameserver 127.0.0.1:5353\n")
text = text.replace("http://$predictor$rest", "http://$predictor:8081$rest")
text = text.replace("[127.0.0.1:5353]", "127.0.0.1:5353")
open("/tmp/test.conf", "w").write(text)
predictor = http.server.ThreadingHTTPServer(("127.0.0.1", 8081), Predictor)
threading.Thread(target=predictor.serve_forever, daemon=True).start()
nginx = subprocess.Popen(["/usr/sbin/nginx", "-e", "stderr", "-c", "/tmp/test.conf"])
def get(path):
    for _ in range(50):
        try:
            c = http.client.HTTPConnection("127.0.0.1", 8080, timeout=20); c.putrequest("GET", path)
            c.putheader("kubeflow-userid", "somebody"); c.endheaders(); r = c.getresponse()
            return [r.status, r.getheader("Content-Type"), r.read().decode()]
        except ConnectionRefusedError:
            time.sleep(0.1)
print(json.dumps({path: get(path) for path in sys.argv[1:]}))
nginx.terminate(); nginx.wait()
"""


def test_the_gateway_reaches_predictors_and_nothing_else(node: Node) -> None:
    good = "/serving/team-a/iris/v2/models/iris/infer?x=1"
    kept = "/serving/team-a/iris/v2/a%2Fb%0d%0aX:y"
    unknown = [
        "/",
        "/serving/team-a",
        "/serving/team-a/iris",
        "/serving/team-a/Iris/x",
        "/serving/a.b/iris/x",
    ]
    unknown += ["/serving/team-a@evil/iris/x", "/serving/-a/iris/x", "/serving/a%2e/iris/x"]
    absent = "/serving/team-b/iris/v2/health/live"
    paths = [good, kept, "/healthz", absent, *unknown]
    text = node.run("gateway", "python3", "-c", _WORLD, *paths)
    answers = json.loads(text.splitlines()[-1])
    host = "iris-predictor.team-a.svc.cluster.local"
    assert json.loads(answers[good][2]) == [host, "/v2/models/iris/infer?x=1", None]
    assert json.loads(answers[kept][2]) == [host, "/v2/a%2Fb%0d%0aX:y", None]
    assert answers["/healthz"][0] == 200
    assert answers[absent][:2] == [502, "application/json"]
    for path in unknown:
        assert answers[path][:2] == [404, "application/json"], path
        assert "error" in json.loads(answers[path][2])
