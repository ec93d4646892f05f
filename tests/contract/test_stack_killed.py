"""A run that was killed half-way: the next one takes over what it made, and makes nothing twice."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.apiserver import ApiServer
from support.pulumi_cli import driven_stack
from support.waiting import eventually

from infra.cluster.provider import OF_ONE_RUN
from infra.stack.stack import Stack
from infra.stack.state import FileBackend, pending

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]
PROGRAM = """\
import os, pathlib, pulumi, pulumi_kubernetes as k8s
from infra.cluster.provider import OF_ONE_RUN, kubernetes_provider
pathlib.Path("variables").write_text(" ".join(sorted(set(OF_ONE_RUN) & set(os.environ))))
kubeconfig = pulumi.Output.secret(pathlib.Path("kubeconfig").read_text())
provider = kubernetes_provider("cluster", kubeconfig=kubeconfig, cluster_identifier="test")
on = pulumi.ResourceOptions(provider=provider)
for each in range(6):
    name = f"map-{{each}}"
    k8s.core.v1.ConfigMap(name, metadata={{"name": name, "namespace": "{namespace}"}}, opts=on)
labels = {{"app": "server"}}
k8s.apps.v1.Deployment("server", metadata={{"name": "server", "namespace": "{namespace}"}}, opts=on,
    spec={{"selector": {{"matchLabels": labels}}, "template": {{
        "metadata": {{"labels": labels}},
        "spec": {{"containers": [{{"name": "main", "image": "{image}"}}]}}}}}})
"""


@pytest.fixture
def namespace(server: ApiServer) -> str:
    return server.namespace()


@pytest.fixture
def stack(server: ApiServer, namespace: str, tmp_path: Path) -> Iterator[Stack]:
    program = PROGRAM.format(namespace=namespace, image="broken:1")
    yield driven_stack(tmp_path, program, server.kubeconfig)
    for process in Path("/proc").glob("[0-9]*"):
        # The provider of a CLI that was killed looks only every five minutes whether that is still there.
        with contextlib.suppress(OSError):
            if str(tmp_path).encode() in (process / "cmdline").read_bytes().partition(b"\0")[0]:
                os.kill(int(process.name), signal.SIGKILL)


def _uids(cluster: httpx.Client, namespace: str) -> dict[str, str]:
    found = cluster.get(f"/api/v1/namespaces/{namespace}/configmaps").json()["items"]
    every = {item["metadata"]["name"]: item["metadata"]["uid"] for item in found}
    return {name: uid for name, uid in every.items() if name.startswith("map-")}


def test_kill_9_half_way_and_again(stack: Stack, cluster: httpx.Client, namespace: str) -> None:
    env = {**os.environ, **stack.env}
    running = subprocess.Popen(
        ["pulumi", "up", "-s", "local", "--yes", "--skip-preview", "--non-interactive"],
        cwd=stack.project, env=env, process_group=0,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deployment = f"/apis/apps/v1/namespaces/{namespace}/deployments/server"
    eventually(lambda: cluster.get(deployment).status_code == 200)
    eventually(lambda: len(_uids(cluster, namespace)) == 6)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    backend = FileBackend.of(stack.env["PULUMI_BACKEND_URL"], "slipway", "local")
    assert backend is not None
    assert list(backend.locks()), "the control: it left its lock"
    assert "kubernetes:apps/v1:Deployment" in pending(backend.export()), "and an operation cut off"
    before = _uids(cluster, namespace) | {"server": cluster.get(deployment).json()["metadata"]["uid"]}
    assert (stack.project / "variables").read_text() == ""

    (stack.project / "program.py").write_text(PROGRAM.format(namespace=namespace, image="good"))
    stack.up()

    after = _uids(cluster, namespace) | {"server": cluster.get(deployment).json()["metadata"]["uid"]}
    assert after == before, "taken over, and nothing made twice"
    assert (stack.project / "variables").read_text().split() == sorted(OF_ONE_RUN)
    assert (list(backend.locks()), pending(backend.export())) == ([], [])
    assert not stack.up().changed
    assert (stack.project / "variables").read_text() == "", "only the run after the one that was killed"
    assert not stack.preview(refresh=True).changed
    stack.destroy()
    assert _uids(cluster, namespace) == {}
