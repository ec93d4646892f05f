"""Parts installed object by object: order, readiness and its faults, against a real API server."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.apiserver import ApiServer, api_server
from support.pulumi_cli import Project, install_slipway_plugin
from support.waiting import eventually

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]
PROGRAM = """\
import json
from infra.cluster.handle import Connection
from infra.upstream.install.installation import Installation, InstallationArgs, PartObjects
part = json.loads(pathlib.Path("part.json").read_text())
seconds = part.pop("seconds")
stages = {int(stage): documents for stage, documents in part.pop("stages").items()}
orchard = PartObjects(name="orchard", stages=stages, samples_stage=2, **part)
args = InstallationArgs(parts=[orchard], connection=Connection(kubeconfig=kubeconfig), seconds=seconds)
Installation("parts", args, pulumi.ResourceOptions(providers=[provider]))
"""
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
SAMPLE = {"apiVersion": "orchard.example/v1", "kind": "Tree", "metadata": {"name": "sample"}}


@pytest.fixture
def namespace(server: ApiServer) -> str:
    return server.namespace()


@pytest.fixture
def project(server: ApiServer, tmp_path: Path) -> Iterator[Project]:
    made = _project(server, tmp_path)
    yield made
    made.destroy()


@pytest.fixture
def restarted(tmp_path: Path) -> Iterator[tuple[ApiServer, Project]]:
    """An API server that the test may stop, and a project for it."""
    for name in ("server", "project"):
        (tmp_path / name).mkdir()
    with api_server(tmp_path / "server") as server:
        yield server, _project(server, tmp_path / "project")


def _project(server: ApiServer, folder: Path) -> Project:
    (folder / "kubeconfig").write_text(server.kubeconfig)
    made = Project(folder, {"SLIPWAY_CACHE": str(folder / "cache")})
    install_slipway_plugin(made.folder)
    made.program(PROGRAM)
    return made


def _object(version: str, kind: str, name: str, namespace: str = "", **rest: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def _documents(namespace: str, image: str = "good") -> list[dict[str, Any]]:
    labels = {"app": "orchard"}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    definition = {
        "group": "orchard.example",
        "names": {"plural": "trees", "singular": "tree", "kind": "Tree", "listKind": "TreeList"},
        "scope": "Cluster",
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
    }
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
    deployment = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
    # Not in the order in which they must be made.
    return [
        _object("apps/v1", "Deployment", "controller", namespace, spec=deployment),
        _object("orchard.example/v1", "Tree", "oak"),
        _object("v1", "ConfigMap", "settings", namespace, data={"a": "1"}),
        _object(
            "apiextensions.k8s.io/v1", "CustomResourceDefinition", "trees.orchard.example", spec=definition
        ),
    ]


def _without_trees(namespace: str) -> list[dict[str, Any]]:
    return [each for each in _documents(namespace) if each["kind"] != "Tree"]


def _webhook(namespace: str) -> dict[str, Any]:
    rule = {
        "apiGroups": ["orchard.example"],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["trees"],
    }
    hook = {
        "name": "trees.orchard.example",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 1,
        "clientConfig": {"url": "https://127.0.0.1:1/nobody-listens", "caBundle": ""},
        "rules": [rule],
    }
    return _object(
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        f"of-{namespace}",
        webhooks=[hook],
    )


def _declare(project: Project, documents: list[dict[str, Any]], **more: Any) -> None:
    stages: dict[int, list[dict[str, Any]]] = {0: [], 1: [], 2: []}
    for each in documents:
        stages[{"CustomResourceDefinition": 0, "ConfigMap": 1}.get(each["kind"], 2)].append(each)
    part = {"stages": stages, "samples": [SAMPLE], "seconds": 40, **more}
    (project.folder / "part.json").write_text(json.dumps(part))


def test_everything_is_there_and_stays_the_same(
    project: Project, cluster: httpx.Client, namespace: str
) -> None:
    _declare(project, _documents(namespace))
    project.up().fine()
    assert cluster.get("/apis/orchard.example/v1/trees/oak").status_code == 200
    deployment = cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/controller").json()
    assert deployment["status"]["availableReplicas"] == 1
    assert cluster.get("/apis/orchard.example/v1/trees/sample").status_code == 404, "only tried"
    assert "x-kubernetes-preserve-unknown-fields" not in json.dumps(project.state())
    assert project.changes() == {}
    changed = _documents(namespace)
    changed[2]["data"] = {"a": "2"}
    _declare(project, changed)
    assert project.changes() == {"update": 2}, "the map, and the wait of its stage"


def test_aggregated_roles_keep_their_rules(project: Project, cluster: httpx.Client, namespace: str) -> None:
    version, own = "rbac.authorization.k8s.io/v1", {"to": namespace}
    read = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    part = _object(version, "ClusterRole", f"part-{namespace}", rules=[read])
    part["metadata"]["labels"] = own
    selector = {"clusterRoleSelectors": [{"matchLabels": own}]}
    whole = _object(version, "ClusterRole", f"whole-{namespace}", aggregationRule=selector, rules=[])
    documents = [*_documents(namespace), part, whole]
    _declare(project, documents)
    project.up().fine()
    path = f"/apis/{version}/clusterroles/whole-{namespace}"
    eventually(lambda: cluster.get(path).json().get("rules") == [read])
    whole["metadata"]["labels"] = {"changed": "yes"}
    _declare(project, documents)
    project.up().fine()
    assert cluster.get(path).json()["rules"] == [read]
    assert cluster.get(path).json()["metadata"]["labels"]["changed"] == "yes"
    assert project.changes() == {}


def test_what_is_declared_empty_is_no_change_for_ever(
    project: Project, cluster: httpx.Client, namespace: str
) -> None:
    """The API server does not keep an empty list of rules; a controller fills an empty Secret."""
    role = _object("rbac.authorization.k8s.io/v1", "ClusterRole", f"empty-{namespace}", rules=[])
    _declare(project, [*_documents(namespace), role, _object("v1", "Secret", "filled", namespace, data={})])
    project.up().fine()
    path, content = f"/api/v1/namespaces/{namespace}/secrets/filled", {"key": "dmFsdWU="}
    merge = {"Content-Type": "application/merge-patch+json"}
    cluster.patch(path, json={"data": content}, headers=merge).raise_for_status()
    assert project.changes() == {}
    project.up().fine()
    assert cluster.get(path).json()["data"] == content


def test_dependencies_and_stack_traces_do_not_fill_the_state(project: Project, namespace: str) -> None:
    accounts = [_object("v1", "ServiceAccount", f"reader-{each}", namespace) for each in range(5)]
    _declare(project, [*_documents(namespace), *accounts])
    project.up().fine()
    tree = project.resource("parts-orchard.example-tree-oak")
    assert len(tree["dependencies"]) == 1
    account = project.resource(f"parts-v1-serviceaccount-{namespace}-reader-0")
    assert tree["created"] > account["created"], "the dependency is on what all five exist before"
    assert not tree.get("stackTrace")


def test_a_pod_that_cannot_start_is_named(project: Project, cluster: httpx.Client, namespace: str) -> None:
    _declare(project, _documents(namespace, "broken:1"), seconds=5)
    project.up().failed()
    pods = f"/api/v1/namespaces/{namespace}/pods"
    eventually(lambda: "ImagePullBackOff" in cluster.get(pods).text)
    failed = project.up().failed().text
    assert f"Deployment {namespace}/controller: 0 of 1 updated pods are available (pod controller-" in failed
    assert "main ImagePullBackOff: no such image: broken:1)." in failed
    assert cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/settings").status_code == 200
    assert not [each for each in project.state() if each["urn"].endswith("::parts-ready-2")]
    _declare(project, _documents(namespace))
    project.up().fine()
    assert project.resource("parts-ready-2")["outputs"]["stage"] == "parts-ready-2"


def test_a_webhook_that_does_not_answer_is_named(
    project: Project, cluster: httpx.Client, namespace: str
) -> None:
    without_trees = _without_trees(namespace)
    _declare(project, [*without_trees, _webhook(namespace)], seconds=5)
    failed = project.up().failed().text
    assert "After 5 s something is not ready." in failed
    assert "a trial Tree is refused" in failed
    assert "trees.orchard.example" in failed
    assert "127.0.0.1:1" in failed
    cluster.delete(f"{HOOKS}/of-{namespace}").raise_for_status()
    _declare(project, without_trees)
    project.up().fine()
    assert cluster.get("/apis/orchard.example/v1/trees/sample").status_code == 404


def _told(running: subprocess.Popen[str], words: str) -> str:
    """Read the output until it has these words; return what was read."""
    read = ""
    assert running.stdout is not None
    for line in running.stdout:
        read += line
        if words in line:
            return read
    raise AssertionError(read)


def _lost_while_a_stage_waits(server: ApiServer, project: Project) -> tuple[str, subprocess.Popen[str], str]:
    """Stop the API server during an `up`; return the namespace, the run, and what it has printed."""
    namespace = server.namespace()
    _declare(project, [*_without_trees(namespace), _webhook(namespace)], seconds=200)
    running = project.start("up", "-s", "test", "--yes", "--skip-preview")
    read = _told(running, "a trial Tree is refused")
    server.stop("kube-apiserver")
    return namespace, running, read


def test_the_api_server_may_restart_while_a_stage_waits(restarted: tuple[ApiServer, Project]) -> None:
    server, project = restarted
    namespace, running, read = _lost_while_a_stage_waits(server, project)
    read += _told(running, "waiting until the API server answers")
    server.start()
    with server.http() as http:
        http.delete(f"{HOOKS}/of-{namespace}").raise_for_status()
        rest, _ = running.communicate(timeout=200)
        assert running.returncode == 0, read + rest
        assert http.get(f"/api/v1/namespaces/{namespace}/configmaps/settings").status_code == 200
    assert project.changes() == {}


def test_a_run_that_lost_the_api_server_goes_on_when_rerun(restarted: tuple[ApiServer, Project]) -> None:
    server, project = restarted
    namespace, running, read = _lost_while_a_stage_waits(server, project)
    rest, _ = running.communicate(timeout=200)
    assert running.returncode != 0, read + rest
    assert "The cluster does not answer." in rest
    server.start()
    with server.http() as http:
        http.delete(f"{HOOKS}/of-{namespace}").raise_for_status()
        _declare(project, _without_trees(namespace))
        project.up().fine()
        deployment = http.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/controller").json()
    assert deployment["status"]["availableReplicas"] == 1
    assert project.changes() == {}
