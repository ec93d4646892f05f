"""A real API server takes the rendered objects and probes, and refuses what the planner says."""

import copy
import json
import re
import time

import pytest
from support import upstream as support
from support.apiserver import api_server

from infra.upstream import object_store
from infra.upstream.immutable import FORBIDDEN, REPLACES
from infra.upstream.objects import Identity, is_cluster_scoped
from infra.upstream.part import Accepts, Refuses
from infra.upstream.parts import PARTS
from infra.upstream.upgrade import Rendered, changes
from slipway.operations import upstream

pytestmark = pytest.mark.contract

NAMES = ("kubeflow", "cert-manager", "kserve", "katib", "jobset", "trainer")
"""Parts that the Go module proxy has."""
ESTABLISHED_SECONDS = 60


class Cluster:
    """Applies objects of any kind."""

    def __init__(self, http):
        self.http = http
        self.paths = {}

    def path(self, document):
        api, kind = document["apiVersion"], document["kind"]
        if (api, kind) not in self.paths:
            base = "/api/v1" if api == "v1" else f"/apis/{api}"
            for each in self.http.get(base).json().get("resources", []):
                if "/" not in each["name"]:
                    self.paths[api, each["kind"]] = (base, each["name"], each["namespaced"])
        base, plural, namespaced = self.paths[api, kind]
        inside = f"/namespaces/{document['metadata']['namespace']}" if namespaced else ""
        return f"{base}{inside}/{plural}/{document['metadata']['name']}"

    def apply(self, document, *, dry_run=False):
        """Return the status and the server's words; unknown fields are refused."""
        answer = self.http.patch(
            self.path(document),
            params={
                "fieldManager": "test",
                "force": "true",
                "fieldValidation": "Strict",
                **({"dryRun": "All"} if dry_run else {}),
            },
            headers={"Content-Type": "application/apply-patch+yaml"},
            content=json.dumps(document),
        )
        return answer.status_code, answer.json().get("message", "")

    def wait_established(self, names):
        deadline = time.monotonic() + ESTABLISHED_SECONDS
        for name in names:
            while not self.is_established(name):
                assert time.monotonic() < deadline, f"{name} is not Established"
                time.sleep(0.1)

    def is_established(self, name):
        found = self.http.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}").json()
        conditions = found.get("status", {}).get("conditions") or []
        return any((each["type"], each["status"]) == ("Established", "True") for each in conditions)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with api_server(tmp_path_factory.mktemp("apiserver")) as server, server.http() as http:
        yield Cluster(http)


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """The objects of the parts with their stages, in stages' order; without webhook configurations.

    Nothing would answer the webhooks here.
    """
    with pytest.MonkeyPatch.context() as patch:
        support.own_cache(tmp_path_factory.mktemp("bundle") / "cache", patch)
        upstream.fetch(NAMES)
        upstream.render(NAMES)
        current = upstream.read_lock()
        found = [
            (each.stage, json.loads(object_store.get(each.sha256)))
            for name in NAMES
            for each in current.find(name).objects
            if not each.kind.endswith("WebhookConfiguration")
        ]
    return sorted(found, key=lambda pair: (pair[0], pair[1]["kind"] != "Namespace"))


@pytest.fixture(scope="module")
def installed(cluster, objects):
    """Apply everything, in order of the stages; return what was refused."""
    refused = []
    waited = False
    for stage, document in objects:
        if stage and not waited:
            cluster.wait_established(
                each["metadata"]["name"] for _, each in objects if each["kind"] == "CustomResourceDefinition"
            )
            waited = True
        status, words = cluster.apply(document)
        if status >= 300:
            refused.append((str(Identity.of(document)), status, words))
    return refused


def test_every_object_is_accepted_in_order_of_the_stages(installed, objects):
    assert len(objects) > 100
    assert installed == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "kubeflow"])
def test_a_probe_is_an_object_that_the_schema_accepts(cluster, installed, name):
    documents = [dict(each.document) for each in PARTS[name].probes if isinstance(each, Accepts | Refuses)]
    assert documents
    for document in documents:
        assert cluster.apply(document, dry_run=True)[0] in (200, 201)
        unknown = {**document, "spec": {**document["spec"], "nosuch": 1}}
        assert cluster.apply(unknown, dry_run=True)[0] >= 400 or name == "katib", "the control"


POD = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
SELECTOR = {"matchLabels": {"a": "b"}}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def thing(api, kind, **fields):
    metadata = {"name": f"x-{kind.lower()}", "namespace": "default"}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **fields}


def workload(kind, **spec):
    return thing("apps/v1", kind, spec={"selector": SELECTOR, "template": POD, **spec})


BOUND = {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"}
RBAC = "rbac.authorization.k8s.io/v1"
OBJECTS = {
    ("apps", "Deployment"): workload("Deployment"),
    ("apps", "DaemonSet"): workload("DaemonSet"),
    ("apps", "ReplicaSet"): workload("ReplicaSet"),
    ("apps", "StatefulSet"): workload(
        "StatefulSet",
        serviceName="s",
        volumeClaimTemplates=[
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "d"}, "spec": CLAIM}
        ],
    ),
    ("batch", "Job"): thing(
        "batch/v1",
        "Job",
        spec={
            "suspend": True,
            "completions": 1,
            "manualSelector": True,
            "selector": SELECTOR,
            "template": {**POD, "spec": {**POD["spec"], "restartPolicy": "Never"}},
        },
    ),
    ("", "Service"): thing(
        "v1",
        "Service",
        spec={
            "clusterIP": "None",
            "clusterIPs": ["None"],
            "ipFamilyPolicy": "SingleStack",
            "selector": {"a": "b"},
            "ports": [{"port": 80}],
        },
    ),
    ("", "Secret"): thing("v1", "Secret", type="Opaque"),
    ("", "PersistentVolumeClaim"): thing(
        "v1", "PersistentVolumeClaim", spec={**CLAIM, "storageClassName": "x", "volumeName": "v"}
    ),
    ("networking.k8s.io", "IngressClass"): thing(
        "networking.k8s.io/v1", "IngressClass", spec={"controller": "a.example/b"}
    ),
    ("node.k8s.io", "RuntimeClass"): thing("node.k8s.io/v1", "RuntimeClass", handler="a"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): thing(RBAC, "ClusterRoleBinding", roleRef=BOUND),
    ("rbac.authorization.k8s.io", "RoleBinding"): thing(RBAC, "RoleBinding", roleRef=BOUND),
    ("scheduling.k8s.io", "PriorityClass"): thing("scheduling.k8s.io/v1", "PriorityClass", value=1),
    ("storage.k8s.io", "StorageClass"): thing(
        "storage.k8s.io/v1", "StorageClass", provisioner="a.example/b", parameters={"a": "b"}
    ),
}
OTHERS = {
    ("spec", "selector"): {"matchLabels": {"a": "c"}},
    ("spec", "template"): {
        **POD,
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "other"}]},
    },
    ("spec", "serviceName"): "other",
    ("spec", "podManagementPolicy"): "Parallel",
    ("spec", "completionMode"): "Indexed",
    ("spec", "clusterIP"): "10.0.0.9",
    ("spec", "clusterIPs"): ["10.0.0.9"],
    ("type",): "example.com/other",
    ("spec", "controller"): "a.example/c",
    ("handler",): "b",
    ("roleRef",): {**BOUND, "name": "edit"},
    ("value",): 2,
    ("preemptionPolicy",): "Never",
    ("provisioner",): "a.example/c",
    ("parameters",): {"a": "c"},
    ("reclaimPolicy",): "Retain",
    ("volumeBindingMode",): "WaitForFirstConsumer",
    ("spec", "volumeClaimTemplates"): [],
    ("spec", "accessModes"): ["ReadWriteMany"],
    ("spec", "dataSource"): {"kind": "PersistentVolumeClaim", "name": "y"},
    ("spec", "storageClassName"): "y",
    ("spec", "volumeMode"): "Block",
    ("spec", "volumeName"): "w",
}
IMMUTABLE = re.compile(r"immutable|are forbidden|cannot change|may not (be )?change")
CASES = [(key, path) for fields in (REPLACES, FORBIDDEN) for key, paths in fields.items() for path in paths]


def with_value(document, path, value):
    result = copy.deepcopy(document)
    place = result
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return result


@pytest.mark.parametrize(("key", "path"), CASES, ids=[f"{key[1]}-{'.'.join(path)}" for key, path in CASES])
def test_a_field_that_the_planner_calls_fixed_is_refused(cluster, key, path):
    document = OBJECTS[key]
    if is_cluster_scoped(document["kind"]):
        document = {**document, "metadata": {"name": document["metadata"]["name"]}}
    assert cluster.apply(document)[0] in (200, 201)
    labelled = with_value(document, ("metadata", "labels"), {"l": "m"})
    assert cluster.apply(labelled)[0] == 200, "the control"
    changed = with_value(document, path, OTHERS[path])
    if document["kind"] == "Service":  # the two fields have the same address
        changed["spec"] |= {"clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9"]}
    status, words = cluster.apply(changed)
    assert status == 422
    assert IMMUTABLE.search(words), words
    [planned] = changes(
        {Identity.of(document): Rendered("p", document)}, {Identity.of(document): Rendered("p", changed)}
    )
    assert planned.consequence in ("replaced", "forbidden")


def definition(*versions, scope="Namespaced", kind="Widget"):
    schema = {"openAPIV3Schema": {"type": "object"}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": scope,
            "names": {"plural": "widgets", "singular": "widget", "kind": kind, "listKind": f"{kind}List"},
            "versions": [
                {"name": name, "served": True, "storage": name == versions[0], "schema": schema}
                for name in versions
            ],
        },
    }


@pytest.mark.parametrize(
    "changed",
    [definition("v2"), definition("v1", scope="Cluster"), definition("v1", kind="Gadget")],
    ids=["stored-version", "scope", "kind"],
)
def test_a_definition_that_the_planner_forbids_is_refused(cluster, changed):
    document = definition("v1")
    assert cluster.apply(document)[0] in (200, 201)
    cluster.wait_established(["widgets.example.com"])
    assert cluster.apply(definition("v1", "v2"))[0] == 200, "the control"
    assert cluster.apply(changed)[0] == 422
    [planned] = changes(
        {Identity.of(document): Rendered("p", document)}, {Identity.of(document): Rendered("p", changed)}
    )
    assert planned.consequence == "forbidden"
