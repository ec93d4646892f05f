"""How a cluster is opened."""

import base64
import json
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kubernetes.config import kube_config

from infra.kubernetes_api import KubernetesApi

CA = f"a CA certificate of this test {uuid.uuid4()}".encode()
KUBECONFIG = json.dumps(
    {
        "clusters": [
            {
                "name": "c",
                "cluster": {
                    "server": "https://127.0.0.1:1",
                    "certificate-authority-data": base64.b64encode(CA).decode(),
                },
            }
        ],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "current-context": "c",
    }
)


@pytest.mark.parametrize("form", ["content", "path"])
def test_a_cluster_opened_twice_at_once_has_its_certificate(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client remembers the file of a certificate before it has written it (2026-11-30)."""
    begun = threading.Event()
    path = tmp_path / "kubeconfig"
    content = KUBECONFIG.replace("127.0.0.1:1", f"{form}.test")
    path.write_text(content)
    monkeypatch.setattr(kube_config, "_temp_files", {})

    def slowly(name: str, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if "w" in mode:
            begun.set()
            time.sleep(0.3)
        return Path(name).open(mode, *rest, **more)

    monkeypatch.setattr(kube_config, "open", slowly, raising=False)

    def opened() -> bytes:
        api = KubernetesApi.of_content(content) if form == "content" else KubernetesApi.open(path)
        return Path(api._client.configuration.ssl_ca_cert).read_bytes()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(opened)
        assert begun.wait(10)
        second = pool.submit(opened)
        assert [first.result(), second.result()] == [CA, CA]
