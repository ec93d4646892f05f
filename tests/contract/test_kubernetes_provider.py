"""The official provider as `local` builds it, under the real CLI, against a real API server."""

import base64
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.apiserver import ApiServer, api_server
from support.pulumi_cli import Project, Run
from support.waiting import PATIENCE_SECONDS, eventually

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("apiserver")) as running:
        yield running


@pytest.fixture
def project(server: ApiServer, tmp_path: Path) -> Project:
    (tmp_path / "kubeconfig").write_text(server.kubeconfig)
    return Project(tmp_path)


@pytest.fixture
def namespace(server: ApiServer) -> str:
    return server.namespace()


@pytest.fixture
def cluster(server: ApiServer) -> Iterator[httpx.Client]:
    with server.http() as http:
        yield http


def _config_map(name: str, namespace: str, data: dict[str, str], **metadata: Any) -> str:
    named = {"name": name, "namespace": namespace, **metadata}
    return f"k8s.core.v1.ConfigMap({name!r}, metadata={named!r}, data={data!r}, opts=on())\n"


def _deployment(namespace: str, image: str = "good", options: str = "", **changes: Any) -> str:
    labels = changes.get("labels", {"app": "server"})
    container = {
        "name": "main",
        "image": image,
        "env": changes.get("env", []),
        "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
    }
    spec = {
        "replicas": changes.get("replicas", 1),
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    metadata = {"name": "server", "namespace": namespace}
    return f'k8s.apps.v1.Deployment("server", metadata={metadata!r}, spec={spec!r}, opts=on({options}))\n'


def _path(namespace: str, name: str = "", plural: str = "configmaps") -> str:
    root = "/apis/apps/v1" if plural == "deployments" else "/api/v1"
    return f"{root}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def _apply(cluster: httpx.Client, path: str, body: dict[str, Any], manager: str) -> None:
    params = {"fieldManager": manager, "force": "true"}
    headers = {"Content-Type": "application/apply-patch+yaml"}
    cluster.patch(path, content=json.dumps(body), headers=headers, params=params).raise_for_status()


def _edit(cluster: httpx.Client, path: str, change: dict[str, Any], manager: str) -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    cluster.patch(path, json=change, headers=headers, params={"fieldManager": manager}).raise_for_status()


def test_create_update_and_delete(project: Project, cluster: httpx.Client) -> None:
    def program(replicas: int) -> None:
        project.program(
            'team = k8s.core.v1.Namespace("life", metadata={"name": "life"}, opts=on())\n'
            'k8s.core.v1.Service("server", metadata={"name": "server", "namespace": team.metadata["name"]},'
            ' spec={"selector": {"app": "server"}, "ports": [{"port": 80, "target_port": 8080}]},'
            " opts=on())\n" + _deployment("life", replicas=replicas, options="depends_on=[team]")
        )

    program(1)
    preview = project.preview().fine().text
    assert "5 to create" in preview
    assert "expected to have version" not in preview, "it claims at least the version that the SDK wants"
    assert cluster.get("/api/v1/namespaces/life").status_code == 404, "a preview changes nothing"
    project.up().fine()
    assert project.changes("--refresh") == {}, "defaults and spelling are no drift"
    assert "5 unchanged" in project.up().fine().text
    program(2)
    assert "1 updated" in project.up().fine().text
    # The provider waits for the ReplicaSet; the Deployment's own count follows.
    deployment = _path("life", "server", "deployments")
    eventually(lambda: cluster.get(deployment).json()["status"]["readyReplicas"] == 2)
    project.destroy().fine()
    assert cluster.get("/api/v1/namespaces/life").status_code == 404


@pytest.mark.parametrize("manager", ["kubectl-edit", "autoscaler"])
def test_drift_is_shown_and_put_back(
    project: Project, cluster: httpx.Client, namespace: str, manager: str
) -> None:
    project.program(_deployment(namespace) + _config_map("lost", namespace, {"a": "1"}))
    project.up().fine()
    _edit(cluster, _path(namespace, "server", "deployments"), {"spec": {"replicas": 3}}, manager)
    cluster.delete(_path(namespace, "lost")).raise_for_status()
    refused = project.preview("--refresh").failed().text
    assert f'conflict with "{manager}"' in refused
    assert ".spec.replicas" in refused
    project.env["PULUMI_K8S_ENABLE_PATCH_FORCE"] = "true"
    shown = project.preview("--refresh").fine().text
    assert "replicas: 3 => 1" in shown
    project.up("--refresh").fine()
    assert cluster.get(_path(namespace, "server", "deployments")).json()["spec"]["replicas"] == 1
    assert cluster.get(_path(namespace, "lost")).json()["data"] == {"a": "1"}
    assert project.changes("--refresh") == {}


def test_another_writer_is_named(project: Project, cluster: httpx.Client, namespace: str) -> None:
    project.program(_config_map("shared", namespace, {"a": "1", "b": "1"}))
    project.up().fine()
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"a": "theirs"}}
    _apply(cluster, _path(namespace, "shared"), body, "other-stack")
    project.program(_config_map("shared", namespace, {"a": "1", "b": "2"}))
    refused = project.up().failed().text
    assert 'conflict with "other-stack"' in refused
    assert ".data.a" in refused
    assert cluster.get(_path(namespace, "shared")).json()["data"] == {"a": "theirs", "b": "1"}
    forced = {"annotations": {"pulumi.com/patchForce": "true"}}
    project.program(_config_map("shared", namespace, {"a": "1", "b": "2"}, **forced))
    project.up().fine()
    assert cluster.get(_path(namespace, "shared")).json()["data"] == {"a": "1", "b": "2"}


def test_data_of_another_writer_stay(project: Project, cluster: httpx.Client, namespace: str) -> None:
    project.program(_config_map("kept", namespace, {"a": "1"}))
    project.up().fine()
    _edit(cluster, _path(namespace, "kept"), {"data": {"other": "x"}}, "slipway-certificates")
    before = cluster.get(_path(namespace, "kept")).json()["metadata"]["uid"]
    project.program(_config_map("kept", namespace, {"a": "2"}))
    assert "1 updated" in project.up().fine().text
    kept = cluster.get(_path(namespace, "kept")).json()
    assert kept["data"] == {"a": "2", "other": "x"}
    assert kept["metadata"]["uid"] == before, "changed in place: whatever reads it always finds one"


def test_immutable_field_replaces(project: Project, cluster: httpx.Client, namespace: str) -> None:
    project.program(_deployment(namespace))
    project.up().fine()
    before = cluster.get(_path(namespace, "server", "deployments")).json()["metadata"]["uid"]
    project.program(_deployment(namespace, labels={"app": "renamed"}))
    assert "1 to replace" in project.preview().fine().text
    project.up().fine()
    after = cluster.get(_path(namespace, "server", "deployments")).json()
    assert after["metadata"]["uid"] != before
    assert after["spec"]["selector"]["matchLabels"] == {"app": "renamed"}
    assert project.changes() == {}


def _waiting_reasons(cluster: httpx.Client, namespace: str) -> list[str]:
    return [
        container["state"]["waiting"]["reason"]
        for pod in cluster.get(_path(namespace, plural="pods")).json()["items"]
        for container in pod["status"].get("containerStatuses", [])
    ]


def test_failed_readiness_names_object_and_reason(
    project: Project, cluster: httpx.Client, namespace: str
) -> None:
    def deploy(image: str, update: str) -> Run:
        timeouts = f'custom_timeouts=pulumi.CustomTimeouts(create="2s", update="{update}")'
        project.program(_deployment(namespace, image, timeouts))
        return project.up()

    failed = deploy("broken:1", update="8s").failed().text
    assert "'server' timed out waiting to be Ready" in failed
    assert project.resource("server")["initErrors"]
    # That run may have ended before the pod had a reason; the next one finds the pod with it.
    eventually(lambda: _waiting_reasons(cluster, namespace) == ["ImagePullBackOff"])
    failed = deploy("broken:1", update="8s").failed().text
    assert "'server' timed out waiting to be Ready" in failed
    assert f"[Pod {namespace}/server-" in failed
    assert "[ImagePullBackOff] no such image: broken:1" in failed
    assert project.resource("server")["initErrors"]
    deploy("good", update="120s").fine()
    assert "initErrors" not in project.resource("server")
    assert project.changes() == {}


def test_interrupt_keeps_the_state(project: Project, cluster: httpx.Client, namespace: str) -> None:
    project.program(_deployment(namespace, "broken:1"))
    running = project.start("up", "-s", "test", "--yes", "--skip-preview")
    eventually(lambda: cluster.get(_path(namespace, "server", "deployments")).status_code == 200)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode != 0
    assert project.resource("server")["id"] == f"{namespace}/server"
    project.destroy().fine()


def test_secrets_stay_secret(project: Project, cluster: httpx.Client, namespace: str) -> None:
    word = "correct-horse-battery"
    metadata = {"name": "key", "namespace": namespace}
    env = [{"name": "KEY", "value": "SECRET"}]
    project.program(
        f"word = pulumi.Output.secret({word!r})\n"
        f'key = k8s.core.v1.Secret("key", metadata={metadata!r}, string_data={{"word": word}}, opts=on())\n'
        + _deployment(namespace, env=env).replace("'SECRET'", "word")
        + 'pulumi.export("data", key.data)\n'
    )
    shown = project.up().fine().text + project.preview().fine().text + project.refresh().fine().text
    coded = base64.b64encode(word.encode()).decode()
    written = "".join(p.read_text() for p in (project.folder / "backend").rglob("*.json"))
    for text in (word, coded):
        assert text not in shown
        assert text not in written
    assert cluster.get(_path(namespace, "key", "secrets")).json()["data"] == {"word": coded}
    assert coded in json.dumps(project.state(secrets=True)), "the state does hold it, encrypted"
    assert project.changes("--refresh") == {}


def test_custom_kind_and_its_first_object_in_one_run(
    project: Project, cluster: httpx.Client, namespace: str
) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    spec = {
        "group": "tests.example.com", "scope": "Namespaced", "versions": [version],
        "names": {"kind": "Thing", "plural": "things"},
    }  # fmt: skip
    project.program(
        'kind = k8s.apiextensions.v1.CustomResourceDefinition("kind",'
        f' metadata={{"name": "things.tests.example.com"}}, spec={spec!r}, opts=on())\n'
        'k8s.apiextensions.CustomResource("thing", api_version="tests.example.com/v1", kind="Thing",'
        f' metadata={{"name": "thing", "namespace": {namespace!r}}}, spec={{"size": 3}},'
        " opts=on(depends_on=[kind]))\n"
    )
    project.preview().fine()
    project.up().fine()
    things = f"/apis/tests.example.com/v1/namespaces/{namespace}/things"
    assert cluster.get(f"{things}/thing").json()["spec"] == {"size": 3}
    assert project.changes("--refresh") == {}
    project.destroy().fine()
    assert cluster.get(things).status_code == 404


@pytest.mark.parametrize("form", ["yaml.v2", "kustomize.v2", "helm.v4"])
def test_manifests_kustomizations_and_charts(
    project: Project, cluster: httpx.Client, namespace: str, form: str
) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "read", "namespace": namespace},
        "data": {"form": form},
    }
    folder = project.folder / "manifests"
    (folder / "templates").mkdir(parents=True)
    (folder / "templates" / "one.yaml").write_text(json.dumps(manifest))
    (folder / "kustomization.yaml").write_text("resources: [templates/one.yaml]\n")
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: chart\nversion: 1.0.0\n")
    project.program(
        {
            "yaml.v2": 'k8s.yaml.v2.ConfigFile("m", file="manifests/templates/one.yaml", opts=on())\n',
            "kustomize.v2": 'k8s.kustomize.v2.Directory("m", directory="manifests", opts=on())\n',
            "helm.v4": 'k8s.helm.v4.Chart("m", chart="./manifests", opts=on())\n',
        }[form]
    )
    project.preview().fine()
    project.up().fine()
    assert cluster.get(_path(namespace, "read")).json()["data"] == {"form": form}
    assert project.changes() == {}
    project.destroy().fine()
    assert cluster.get(_path(namespace, "read")).status_code == 404


def test_cluster_that_does_not_answer(project: Project, server: ApiServer, namespace: str) -> None:
    project.program(_config_map("late", namespace, {"a": "1"}))
    server.stop("kube-apiserver")
    try:
        assert "3 to create" in project.preview().fine().text
        failed = project.up().failed().text
        assert "unreachable" in failed
        assert server.token not in failed
    finally:
        server.start()
    project.up().fine()
