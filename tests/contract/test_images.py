"""Images in a real containerd: incremental import, and running as in the cluster."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.containerd import Node, containerd

from embedded import images
from embedded.images import code
from infra import versions

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with containerd(tmp_path_factory.mktemp("ctd")) as running:
        yield running


def test_an_existing_image_is_not_imported_again(node: Node) -> None:
    reference = node.ensure("pause")
    node.reports.clear()
    assert node.ensure("pause") == reference == images.reference("pause")
    assert node.reports == []
    assert "io.cri-containerd.pinned=pinned" in node.ctr("images", "list", f"name=={reference}")


def test_concurrent_calls_import_each_layer_once(node: Node) -> None:
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
    node.reports.clear()
    second = node.ensure("pipelines")
    assert second != first
    assert node.reports[-1] == "imported image pipelines, 0.0 MB new"
    assert node.run("pipelines", "python3", "-c", "import storage; print(storage.changed)") == "True\n"


def test_pipelines_image_has_imports_of_steps_and_jobs(node: Node) -> None:
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


def test_model_server_image_has_all_imports(node: Node) -> None:
    program = (
        "import sys, uvicorn, httptools, uvloop; sys.path.insert(0, '/usr/lib/slipway'); import model_server;"
        " import onnxruntime; print(onnxruntime.__version__, model_server.PORT)"
    )
    assert node.run("model-server", "python3", "-c", program).split()[-2:] == [versions.ONNXRUNTIME, "8080"]
    program = (
        "import sys; sys.path.insert(0, '/usr/lib/slipway'); import storage_initializer;"
        " from kserve_storage import Storage, configure_logging; import boto3; print(Storage.__name__)"
    )
    assert node.run("model-server", "python3", "-c", program).split()[-1] == "Storage"
