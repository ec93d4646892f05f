"""The stand-in provider under the real CLI, against a real API server and its controllers."""

import base64
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.apiserver import ApiServer, api_server, patiently
from support.pulumi_cli import Project

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
    spec = {
        "replicas": changes.get("replicas", 1),
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {
                "containers": [
                    {
                        "name": "main",
                        "image": image,
                        "env": changes.get("env", []),
                        "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
                    }
                ]
            },
        },
    }
    metadata = {"name": "server", "namespace": namespace, "annotations": changes.get("annotations", {})}
    return f'k8s.apps.v1.Deployment("server", metadata={metadata!r}, spec={spec!r}, opts=on({options}))\n'


def _path(namespace: str, name: str = "", plural: str = "configmaps") -> str:
    root = "/apis/apps/v1" if plural == "deployments" else "/api/v1"
    return f"{root}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def _edit(cluster: httpx.Client, path: str, change: dict[str, Any], manager: str = "kubectl-edit") -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    cluster.patch(path, json=change, headers=headers, params={"fieldManager": manager}).raise_for_status()


def _apply(cluster: httpx.Client, path: str, body: dict[str, Any], manager: str) -> None:
    params = {"fieldManager": manager, "force": "true"}
    headers = {"Content-Type": "application/apply-patch+yaml"}
    cluster.patch(path, content=json.dumps(body), headers=headers, params=params).raise_for_status()


def _names(cluster: httpx.Client, namespace: str) -> set[str]:
    found = cluster.get(_path(namespace)).json()["items"]
    return {item["metadata"]["name"] for item in found} - {"kube-root-ca.crt"}


def test_a_whole_life(project: Project, cluster: httpx.Client) -> None:
    def program(replicas: int) -> None:
        project.program(
            'team = k8s.core.v1.Namespace("life", metadata={"name": "life"}, opts=on())\n'
            'settings = k8s.core.v1.ConfigMap("settings", metadata={"namespace": team.metadata["name"]},'
            ' data={"a": "1"}, opts=on())\n'
            'k8s.core.v1.Service("server", metadata={"name": "server", "namespace": team.metadata["name"]},'
            ' spec={"selector": {"app": "server"}, "ports": [{"port": 80, "target_port": 8080}]},'
            " opts=on())\n"
            + _deployment("life", replicas=replicas, options="depends_on=[team]")
            + 'pulumi.export("name", settings.metadata["name"])\n'
        )

    program(1)
    preview = project.preview().fine()
    assert "6 to create" in preview.text
    assert cluster.get("/api/v1/namespaces/life").status_code == 404, "a preview changes nothing"
    project.up().fine()
    [name] = _names(cluster, "life")
    assert name.startswith("settings-")
    assert name in preview.text, "the preview promises the name that is made"
    live = cluster.get(_path("life", name)).json()
    assert live["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}
    assert project.changes("--refresh") == {}, "defaults and spelling are no drift"
    assert "6 unchanged" in project.up().fine().text
    program(2)
    updated = project.up().fine().text
    assert "1 updated" in updated
    assert cluster.get(_path("life", "server", "deployments")).json()["status"]["readyReplicas"] == 2
    project.destroy().fine()
    assert cluster.get("/api/v1/namespaces/life").status_code == 404


def test_drift_is_shown_and_repaired(project: Project, cluster: httpx.Client, namespace: str) -> None:
    project.program(
        _deployment(namespace)
        + _config_map("kept", namespace, {"a": "1"}, labels={"team": "a"})
        + _config_map("lost", namespace, {"a": "1"})
    )
    project.up().fine()
    _edit(cluster, _path(namespace, "server", "deployments"), {"spec": {"replicas": 3}})
    _edit(cluster, _path(namespace, "kept"), {"metadata": {"labels": {"team": "b"}}, "data": {"other": "x"}})
    cluster.delete(_path(namespace, "lost")).raise_for_status()
    assert project.changes("--refresh") == {"update": 2, "create": 1}
    project.refresh().fine()
    shown = project.preview().fine().text
    assert "replicas: 3 => 1" in shown
    assert '"b" => "a"' in shown
    assert "other" not in shown, "a key that the program never set is another's"
    project.up().fine()
    assert cluster.get(_path(namespace, "server", "deployments")).json()["spec"]["replicas"] == 1
    kept = cluster.get(_path(namespace, "kept")).json()
    assert (kept["metadata"]["labels"]["team"], kept["data"]) == ("a", {"a": "1", "other": "x"})
    assert project.changes("--refresh") == {}


def test_two_writers_are_named(project: Project, cluster: httpx.Client, namespace: str) -> None:
    project.program(_config_map("shared", namespace, {"a": "1", "b": "1"}))
    project.up().fine()
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"a": "theirs"}}
    _apply(cluster, _path(namespace, "shared"), body, "other-stack")
    project.program(_config_map("shared", namespace, {"a": "1", "b": "2"}))
    refused = project.up().failed().text
    assert "conflict with manager 'other-stack' on .data.a" in refused
    assert "pulumi.com/patchForce" in refused
    project.refresh().fine()
    assert "other-stack" in project.up().failed().text, "who applies a field would set it again"
    forced = {"annotations": {"pulumi.com/patchForce": "true"}}
    project.program(_config_map("shared", namespace, {"a": "1", "b": "2"}, **forced))
    project.up().fine()
    assert cluster.get(_path(namespace, "shared")).json()["data"] == {"a": "1", "b": "2"}


def test_an_edit_that_nobody_has_seen_is_not_overwritten(
    project: Project, cluster: httpx.Client, namespace: str
) -> None:
    project.program(_config_map("edited", namespace, {"a": "1", "b": "1"}))
    project.up().fine()
    _edit(cluster, _path(namespace, "edited"), {"data": {"a": "by hand"}})
    project.program(_config_map("edited", namespace, {"a": "1", "b": "2"}))
    refused = project.up().failed().text
    assert "conflict with manager 'kubectl-edit' on .data.a" in refused
    assert "pulumi refresh" in refused
    project.refresh().fine()
    project.up().fine()
    assert cluster.get(_path(namespace, "edited")).json()["data"] == {"a": "1", "b": "2"}


def test_immutable_fields_replace(project: Project, cluster: httpx.Client, namespace: str) -> None:
    metadata = {"namespace": namespace}
    auto = f'k8s.core.v1.ConfigMap("auto", metadata={metadata!r}, data={{"a": "%s"}}, opts=on())\n'
    project.program(_deployment(namespace) + auto % "1")
    project.up().fine()
    before = cluster.get(_path(namespace, "server", "deployments")).json()["metadata"]["uid"]
    [old] = _names(cluster, namespace)
    project.program(_deployment(namespace, labels={"app": "renamed"}) + auto % "2")
    assert "2 to replace" in project.preview().fine().text
    project.up().fine()
    after = cluster.get(_path(namespace, "server", "deployments")).json()
    assert after["metadata"]["uid"] != before
    assert after["spec"]["selector"]["matchLabels"] == {"app": "renamed"}
    [new] = _names(cluster, namespace)
    assert new != old
    assert project.changes() == {}


def test_failed_readiness_is_recorded_and_recovered(
    project: Project, cluster: httpx.Client, namespace: str
) -> None:
    soon = 'custom_timeouts=pulumi.CustomTimeouts(create="3s", update="30s")'
    project.program(_deployment(namespace, "broken:1", soon))
    failed = project.up().failed().text
    assert "0 of 1 replicas are available" in failed
    assert "container main: ImagePullBackOff: no such image: broken:1" in failed
    assert project.resource("server")["initErrors"]
    assert project.resource("server")["id"] == f"{namespace}/server"
    project.program(_deployment(namespace, "good", soon))
    project.up().fine()
    assert "initErrors" not in project.resource("server")
    assert project.changes() == {}


def test_a_job_that_gave_up_is_made_anew(project: Project, cluster: httpx.Client, namespace: str) -> None:
    def program(image: str) -> None:
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]}}
        metadata = {"name": "once", "namespace": namespace}
        spec = {"backoffLimit": 0, "template": template}
        project.program(f'k8s.batch.v1.Job("once", metadata={metadata!r}, spec={spec!r}, opts=on())\n')

    program("failing:1")
    assert "BackoffLimitExceeded" in project.up().failed().text
    program("job:1")
    project.up().fine()
    job = cluster.get(f"/apis/batch/v1/namespaces/{namespace}/jobs/once").json()
    assert job["status"]["succeeded"] == 1
    assert project.changes("--refresh") == {}


def test_kill_9_half_way_and_rerun(project: Project, cluster: httpx.Client, namespace: str) -> None:
    auto = "".join(
        f'k8s.core.v1.ConfigMap("auto{i}", metadata={{"namespace": {namespace!r}}}, opts=on())\n'
        for i in range(6)
    )
    project.program(auto + _deployment(namespace, "broken:1"))
    running = project.start("up", "-s", "test", "--yes", "--skip-preview")
    patiently(lambda: cluster.get(_path(namespace, "server", "deployments")).status_code == 200, 60)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    made = _names(cluster, namespace)
    project.program(auto + _deployment(namespace))
    assert "locked" in project.up().failed().text
    project.run("cancel", "-s", "test", "--yes").fine()
    project.up().fine()
    names = _names(cluster, namespace)
    assert made <= names, "what the killed run has made is taken over"
    assert len(names) == 6, "and nothing was made twice"
    assert project.changes("--refresh") == {}


def test_interrupt_ends_the_wait_and_keeps_the_state(
    project: Project, cluster: httpx.Client, namespace: str
) -> None:
    project.program(_deployment(namespace, "broken:1"))
    running = project.start("up", "-s", "test", "--yes", "--skip-preview")
    patiently(lambda: cluster.get(_path(namespace, "server", "deployments")).status_code == 200, 60)
    began = time.monotonic()
    running.send_signal(signal.SIGINT)
    text, _ = running.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert "cancelled while waiting" in text
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
    said = project.up().fine().text + project.preview().fine().text + project.refresh().fine().text
    coded = base64.b64encode(word.encode()).decode()
    written = "".join(p.read_text() for p in (project.folder / "backend").rglob("*.json"))
    for text in (word, coded):
        assert text not in said
        assert text not in written
    assert cluster.get(_path(namespace, "key", "secrets")).json()["data"] == {"word": coded}
    assert coded in json.dumps(project.state(secrets=True)), "the state does hold it, encrypted"
    assert project.changes("--refresh") == {}
    named = {"name": "labelled", "namespace": namespace, "labels": {"word": "SECRET"}}
    project.program(
        f"word = pulumi.Output.secret({word + ' !'!r})\n"
        + f"k8s.core.v1.ConfigMap('labelled', metadata={named!r}, opts=on())\n".replace("'SECRET'", "word")
    )
    refused = project.preview().failed().text
    assert "Invalid value" in refused
    assert word not in refused


@pytest.mark.parametrize(
    ("program", "named"),
    [
        ('k8s.helm.v3.Release("r", chart="x", opts=on())', "kubernetes:helm.sh/v3:Release: Helm"),
        (
            'k8s.core.v1.ConfigMapPatch("p", metadata={"name": "x"}, opts=on())',
            "ConfigMapPatch: Patch resources",
        ),
        ('k8s.yaml.v2.ConfigGroup("g", yaml="a: b", opts=on())', "kubernetes:yaml/v2:ConfigGroup: YAML"),
        ('k8s.yaml.ConfigGroup("g", yaml="a: b", opts=on())', "kubernetes:yaml:decode: YAML components"),
        ('k8s.core.v1.ConfigMapList("l", items=[], opts=on())', "ConfigMapList: List kinds"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(project: Project, program: str, named: str) -> None:
    project.program(program)
    assert named in project.preview().failed().text


def test_import_and_get(project: Project, cluster: httpx.Client, namespace: str) -> None:
    labels = {"app": "there"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "good"}]}}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "there"},
        "spec": {"selector": {"matchLabels": labels}, "template": pod},
    }
    cluster.post(_path(namespace, plural="deployments"), json=body).raise_for_status()
    metadata = {"name": "there", "namespace": namespace}
    spec = f"spec={body['spec']!r}"
    project.program(
        f'k8s.apps.v1.Deployment("there", metadata={metadata!r}, {spec},'
        f' opts=on(import_="{namespace}/there"))\n'
        f'found = k8s.core.v1.ConfigMap.get("found", "{namespace}/kube-root-ca.crt", opts=on())\n'
        'pulumi.export("keys", found.data.apply(lambda data: sorted(data)))\n'
    )
    said = project.up().fine().text
    assert "1 imported" in said
    assert "ca.crt" in said
    project.program(f'k8s.apps.v1.Deployment("there", metadata={metadata!r}, {spec}, opts=on())\n')
    assert project.changes() == {"discard": 1}, "only the lookup is gone"
    body["spec"]["replicas"] = 2
    project.program(
        f'k8s.apps.v1.Deployment("there", metadata={metadata!r}, spec={body["spec"]!r}, opts=on())\n'
    )
    project.up().fine()
    assert cluster.get(_path(namespace, "there", "deployments")).json()["spec"]["replicas"] == 2


def test_what_exists_is_not_taken_over_unasked(
    project: Project, cluster: httpx.Client, namespace: str
) -> None:
    body = {"metadata": {"name": "taken"}, "data": {"b": "theirs"}}
    cluster.post(_path(namespace), json=body, params={"fieldManager": "kubectl"}).raise_for_status()
    project.program(_config_map("taken", namespace, {"a": "1"}))
    refused = project.up().failed().text
    assert "AlreadyExists" in refused
    assert "kubectl" in refused
    project.env["PULUMI_K8S_UPSERT_EXISTING_OBJECTS"] = "true"
    project.up().fine()
    assert cluster.get(_path(namespace, "taken")).json()["data"] == {"a": "1", "b": "theirs"}


def test_a_finalizer_holds_the_deletion(project: Project, cluster: httpx.Client, namespace: str) -> None:
    soon = 'custom_timeouts=pulumi.CustomTimeouts(delete="2s")'
    held = _config_map("held", namespace, {}, finalizers=["example.com/hold"]).replace("on()", f"on({soon})")
    project.program(held)
    project.up().fine()
    refused = project.destroy().failed().text
    assert "example.com/hold" in refused
    _edit(cluster, _path(namespace, "held"), {"metadata": {"finalizers": None}})
    project.destroy().fine()
    assert _names(cluster, namespace) == set()


def test_a_missing_namespace_is_named(project: Project) -> None:
    project.program(_config_map("nowhere", "no-such-namespace", {}))
    project.preview().fine()
    assert "namespace no-such-namespace does not exist" in project.up().failed().text


def test_a_preview_asks_the_server(project: Project, namespace: str) -> None:
    project.program(_config_map("bad", namespace, {}, labels={"a": "not a label!"}))
    assert "metadata.labels" in project.preview().failed().text


def test_a_kind_and_its_first_object_in_one_run(
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
        f' metadata={{"name": "thing", "namespace": {namespace!r}}},'
        ' spec={"size": 3, "list": [{"a": 1}]},'
        " opts=on(depends_on=[kind]))\n"
    )
    project.preview().fine()
    project.up().fine()
    things = f"/apis/tests.example.com/v1/namespaces/{namespace}/things"
    assert cluster.get(f"{things}/thing").json()["spec"] == {"size": 3, "list": [{"a": 1}]}
    assert project.changes("--refresh") == {}
    project.destroy().fine()
    assert cluster.get(things).status_code == 404


def test_a_cluster_that_does_not_answer(project: Project, server: ApiServer, namespace: str) -> None:
    project.program(_config_map("late", namespace, {"a": "1"}))
    server.stop("kube-apiserver")
    try:
        preview = project.preview().fine()
        assert "can't be reached" in preview.text
        assert "1 to create" in preview.text or "3 to create" in preview.text
        failed = project.up().failed().text
        assert server.url in failed
        assert server.token not in failed
    finally:
        server.start()
    project.up().fine()
