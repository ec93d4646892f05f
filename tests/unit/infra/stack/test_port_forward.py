"""Ports that lead to Services, with a kubectl that only pretends to."""

import os
import socket
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from support.waiting import eventually

from infra.settings.models import DevSettings, ImageReferences
from infra.stack.port_forward import forwards, opened
from slipway.core.errors import UsageError
from slipway.core.report import silent

KUBECTL = """\
#!{python}
import json, socket, sys
port = int(sys.argv[-1].partition(":")[0])
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
with socket.create_server(("127.0.0.1", port)) as server:
    for _ in range({connections}):
        server.accept()[0].close()
sys.exit("lost connection to pod")
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def settings(**endpoints: object) -> DevSettings:
    return DevSettings.model_validate(
        {
            "environment": "dev",
            "cluster": {"context": "ml", "kubeconfig": "/k"},
            "kfp": {"kind": "embedded"},
            "images": {
                name: f"registry.test/{name}@sha256:{'1' * 64}" for name in ImageReferences.model_fields
            },
            "endpoints": endpoints,
        }
    )


NODE_PORT = {"kind": "node-port", "host": "192.0.2.7", "gateway": 30080, "store": 30443}


def kubectl(folder: Path, connections: int) -> dict[str, str]:
    program = folder / "kubectl"
    log = str(folder / "log")
    program.write_text(KUBECTL.format(python=sys.executable, log=log, connections=connections))
    program.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_every_kind_has_its_urls() -> None:
    forwarded = settings(kind="port-forward", gateway=18080, store=18081, kfp=18083)
    assert forwarded.endpoints.urls.model_dump() == {
        "gateway": "http://127.0.0.1:18080",
        "store": "https://127.0.0.1:18081",
        "console": None,
        "kfp": "http://127.0.0.1:18083",
    }
    published = settings(**NODE_PORT, kfp_port=18083).endpoints.urls
    assert published.gateway == "http://192.0.2.7:30080"
    assert published.store == "https://192.0.2.7:30443"
    assert published.kfp == "http://127.0.0.1:18083", "it asks for no login, so no node publishes it"


def test_a_store_in_the_cluster_needs_an_endpoint() -> None:
    with pytest.raises(ValidationError, match=r"endpoints\.store: missing"):
        settings(kind="port-forward", gateway=18080, kfp=18083)


def test_what_is_published_is_not_forwarded() -> None:
    forwarded = forwards(settings(kind="port-forward", gateway=18080, store=18081, kfp=18083))
    assert [(each.name, each.port, each.namespace) for each in forwarded] == [
        ("gateway", 18080, "slipway-gateway"),
        ("store", 18081, "slipway-store"),
        ("kfp", 18083, "kubeflow"),
    ]
    assert [each.name for each in forwards(settings(**NODE_PORT, kfp_port=18083))] == ["kfp"]
    urls = settings(kind="urls", gateway="http://a", store="https://b", kfp="http://c")
    with pytest.raises(UsageError, match="there is no port to open"):
        forwards(urls)


def test_a_forward_that_ends_is_opened_again(tmp_path: Path) -> None:
    env, said = kubectl(tmp_path, connections=3), []
    wanted = settings(**NODE_PORT, kfp_port=free_port())
    with opened(wanted, env, said.append) as [forward]:
        for _ in range(4):
            eventually(lambda: socket.create_connection(("127.0.0.1", forward.port), 1).close() or True)
        eventually(lambda: said)
    assert said[0] == "kfp: lost connection to pod; opening it again"
    first, *_ = (tmp_path / "log").read_text().splitlines()
    for argument in ("--context=ml", "--kubeconfig=/k", "--address=127.0.0.1", "service/ml-pipeline"):
        assert f'"{argument}"' in first
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", forward.port)) != 0, "nothing is left listening"


def test_a_port_in_use_and_a_missing_kubectl_are_named(tmp_path: Path) -> None:
    wanted = settings(**NODE_PORT, kfp_port=free_port())
    with pytest.raises(UsageError, match="There is no `kubectl`"), opened(wanted, {"PATH": "/none"}, silent):
        pass
    [forward] = forwards(wanted)
    taken = socket.create_server(("127.0.0.1", forward.port))
    with taken, pytest.raises(UsageError, match="is in use"), opened(wanted, {}, silent):
        pass
