"""Definitions as one resource: the provider `slipway` under the real CLI, against a real API server."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.apiserver import ApiServer, api_server
from support.pulumi_cli import Project, driven_stack, install_slipway_plugin
from support.waiting import eventually

from infra.upstream.install.shared_names import MANAGER, TAKE_OVER

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]
PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PROGRAM = """\
import json
from infra.cluster.handle import Connection
from infra.upstream.install.definitions import CustomResourceDefinitions
documents = json.loads(pathlib.Path("documents.json").read_text())
connection = Connection(kubeconfig=kubeconfig)
CustomResourceDefinitions("set", part="test", documents=documents, connection=connection)
"""

HEAD = """\
import pathlib, pulumi, pulumi_kubernetes as k8s
from infra.cluster.provider import kubernetes_provider
kubeconfig = pulumi.Output.secret(pathlib.Path("kubeconfig").read_text())
"""
EARLIER = (
    HEAD
    + """\
import json
provider = kubernetes_provider("cluster", kubeconfig=kubeconfig, cluster_identifier="test")
[document] = json.loads(pathlib.Path("documents.json").read_text())
k8s.apiextensions.v1.CustomResourceDefinition("kserve-crd-apples", metadata=document["metadata"],
    spec=document["spec"], opts=pulumi.ResourceOptions(provider=provider))
"""
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("apiserver")) as running:
        yield running


@pytest.fixture
def cluster(cluster: httpx.Client) -> Iterator[httpx.Client]:
    yield cluster
    for name in _uids(cluster):
        cluster.delete(f"{PATH}/{name}")
    eventually(lambda: not _uids(cluster), 60)


@pytest.fixture
def project(server: ApiServer, tmp_path: Path) -> Project:
    (tmp_path / "kubeconfig").write_text(server.kubeconfig)
    made = Project(tmp_path, {"SLIPWAY_CACHE": str(tmp_path / "cache")})
    install_slipway_plugin(made.folder)
    made.program(PROGRAM)
    return made


def _definition(kind: str, **properties: str) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": _types(properties)}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.test.example", "labels": {"part": "test"}},
        "spec": {
            "group": "test.example",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "scope": "Cluster",
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


def _types(properties: dict[str, str]) -> dict[str, Any]:
    return {name: {"type": kind} for name, kind in properties.items()}


def _declare(project: Project, *definitions: dict[str, Any]) -> None:
    (project.folder / "documents.json").write_text(json.dumps(definitions))


def _uids(cluster: httpx.Client) -> dict[str, str]:
    every = cluster.get(PATH).json()["items"]
    return {each["metadata"]["name"]: each["metadata"]["uid"] for each in every}


def _apply(cluster: httpx.Client, definition: dict[str, Any], manager: str) -> None:
    cluster.patch(
        f"{PATH}/{definition['metadata']['name']}",
        content=json.dumps(definition),
        params={"fieldManager": manager, "force": "true"},
        headers={"Content-Type": "application/apply-patch+yaml"},
    ).raise_for_status()


def _make_object(cluster: httpx.Client, kind: str, name: str) -> httpx.Response:
    body = {"apiVersion": "test.example/v1", "kind": kind, "metadata": {"name": name}}
    return cluster.post(f"/apis/test.example/v1/{kind.lower()}s", json=body)


def test_definitions_are_served_after_up(project: Project, cluster: httpx.Client) -> None:
    _declare(project, _definition("Apple"), _definition("Pear"))
    project.up().fine()
    assert _make_object(cluster, "Apple", "a").status_code == 201, "served as soon as `up` ends"
    state = json.dumps(project.state(secrets=True))
    assert "openAPIV3Schema" not in state, "the state holds digests"
    assert project.changes() == {}
    assert project.changes("--refresh") == {}
    shutil.rmtree(project.folder / "cache")
    assert project.run("refresh", "-s", "test", "--yes", "--skip-preview").fine()
    assert project.changes("--refresh") == {}, "a machine with an empty cache reads the same state"


def test_no_key_of_the_kubeconfig_is_left_behind(
    project: Project, cluster: httpx.Client, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    project.env["TMPDIR"] = str(temporary)
    _declare(project, _definition("Apple"))
    project.up().fine()

    def left() -> list[Path]:
        # The official Kubernetes provider leaves `kubeconfig*`.
        files = [path for path in temporary.iterdir() if path.is_file()]
        return [path for path in files if not path.name.startswith("kubeconfig")]

    eventually(lambda: not left(), 60)


def test_a_change_keeps_the_objects(project: Project, cluster: httpx.Client) -> None:
    _declare(project, _definition("Apple"), _definition("Pear"))
    project.up().fine()
    before = _uids(cluster)
    _make_object(cluster, "Apple", "a").raise_for_status()
    _declare(project, _definition("Apple", colour="string"), _definition("Pear"))
    preview = project.preview().fine().text
    assert "apples.test.example will be changed" in preview
    assert "pears.test.example will" not in preview
    project.up().fine()
    assert _uids(cluster) == before, "changed in place"
    assert cluster.get("/apis/test.example/v1/apples/a").status_code == 200
    spec = cluster.get(f"{PATH}/apples.test.example").json()["spec"]
    assert "colour" in json.dumps(spec)


def test_another_makers_definition_is_refused(project: Project, cluster: httpx.Client) -> None:
    theirs = _definition("Apple", size="integer")
    _apply(cluster, theirs, "helm")
    _declare(project, _definition("Pear"), _definition("Apple"))
    refused = project.up().failed().text
    assert "The cluster has a CustomResourceDefinition apples.test.example already." in refused
    assert "It was made by helm" in refused
    assert set(_uids(cluster)) == {"apples.test.example"}, "nothing of the part was made"
    assert "size" in json.dumps(cluster.get(f"{PATH}/apples.test.example").json()["spec"])
    project.destroy().fine()
    assert set(_uids(cluster)) == {"apples.test.example"}, "and theirs stays"
    before = _uids(cluster)
    project.env[TAKE_OVER] = "true"
    project.up().fine()
    taken = cluster.get(f"{PATH}/apples.test.example").json()
    assert taken["metadata"]["uid"] == before["apples.test.example"]
    assert "size" not in json.dumps(taken["spec"]), "it is what the program declares"


def test_what_has_objects_is_not_deleted(project: Project, cluster: httpx.Client) -> None:
    _declare(project, _definition("Apple"), _definition("Pear"))
    project.up().fine()
    _make_object(cluster, "Apple", "precious").raise_for_status()
    _declare(project, _definition("Pear", size="integer"))
    refused = project.up().failed().text
    assert "Objects of apples.test.example exist: precious." in refused
    assert "size" not in json.dumps(cluster.get(f"{PATH}/pears.test.example").json()), "nothing was changed"
    assert "Objects of apples.test.example exist: precious." in project.destroy().failed().text
    assert cluster.get("/apis/test.example/v1/apples/precious").status_code == 200
    cluster.delete("/apis/test.example/v1/apples/precious").raise_for_status()
    project.up().fine()
    assert set(_uids(cluster)) == {"pears.test.example"}
    project.destroy().fine()
    assert _uids(cluster) == {}


def test_refresh_restores_what_others_changed(project: Project, cluster: httpx.Client) -> None:
    _declare(project, _definition("Apple", colour="string"), _definition("Pear"))
    project.up().fine()
    before = _uids(cluster)
    theirs = _definition("Apple", colour="integer")
    cluster.patch(
        f"{PATH}/apples.test.example",
        json={"spec": {"versions": theirs["spec"]["versions"]}},
        headers={"Content-Type": "application/merge-patch+json"},
        params={"fieldManager": "kubectl-edit"},
    ).raise_for_status()
    cluster.delete(f"{PATH}/pears.test.example").raise_for_status()
    eventually(lambda: "pears.test.example" not in _uids(cluster))
    assert project.changes() == {}, "the control: without a refresh nothing is read"
    project.up("--refresh").fine()
    restored = cluster.get(f"{PATH}/apples.test.example").json()
    assert restored["metadata"]["uid"] == before["apples.test.example"]
    versions = restored["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert versions["properties"]["colour"]["type"] == "string"
    assert set(_uids(cluster)) == {"apples.test.example", "pears.test.example"}
    assert project.changes("--refresh") == {}


def test_a_definition_with_names_in_use_is_named(project: Project, cluster: httpx.Client) -> None:
    _apply(cluster, _definition("Apple"), MANAGER)
    eventually(lambda: _make_object(cluster, "Apple", "a").status_code == 201)
    twin = _definition("Apple")
    twin["spec"]["names"]["plural"] = "applets"
    twin["metadata"]["name"] = "applets.test.example"
    _declare(project, twin)
    failed = project.up().failed().text
    assert "CustomResourceDefinition applets.test.example is not established." in failed
    assert "NamesAccepted" in failed
    assert project.resource("set")["initErrors"], "in the state, so that a destroy deletes it"
    project.destroy().fine()
    assert set(_uids(cluster)) == {"apples.test.example"}


def test_a_damaged_cache_is_refused(project: Project, cluster: httpx.Client) -> None:
    _declare(project, _definition("Apple"))
    project.preview().fine()
    assert not (project.folder / "cache").exists(), "a preview writes nothing"
    project.up().fine()
    [kept] = (project.folder / "cache" / "objects").rglob("*.json")
    kept.write_bytes(kept.read_bytes().replace(b"apple", b"ample"))
    refused = project.run("refresh", "-s", "test", "--yes", "--skip-preview").failed().text
    assert "is damaged in the cache" in refused
    assert set(_uids(cluster)) == {"apples.test.example"}


def test_the_driver_takes_over_earlier_resources(
    server: ApiServer, cluster: httpx.Client, tmp_path: Path
) -> None:
    stack = driven_stack(tmp_path, EARLIER, server.kubeconfig)
    (stack.project / "documents.json").write_text(json.dumps([_definition("Apple")]))
    stack.up()
    _make_object(cluster, "Apple", "precious").raise_for_status()
    before = _uids(cluster)
    install_slipway_plugin(tmp_path / "environment")
    (stack.project / "program.py").write_text(HEAD + PROGRAM)
    stack.up()
    assert _uids(cluster) == before
    assert cluster.get("/apis/test.example/v1/apples/precious").status_code == 200
    assert [urn for urn in stack.resources() if "CustomResourceDefinition::" in urn] == []
    assert not stack.up().changed
    cluster.delete("/apis/test.example/v1/apples/precious").raise_for_status()
    stack.destroy()
    assert _uids(cluster) == {}
