import copy

import pytest

from infra.upstream.objects import Identity
from infra.upstream.upgrade import Rendered, changes


def thing(kind, api="v1", name="x", namespace="n", **fields):
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **fields}


def crd(*versions, scope="Namespaced", kind="Widget"):
    rows = [{"name": name, "served": served, "storage": storage} for name, served, storage in versions]
    spec = {"scope": scope, "names": {"kind": kind}, "versions": rows}
    return thing("CustomResourceDefinition", "apiextensions.k8s.io/v1", namespace="", spec=spec)


def bundle(*documents):
    return {Identity.of(document): Rendered("p", document) for document in documents}


def only(old, new):
    [found] = changes(bundle(*old), bundle(*new))
    return found


def changed(document, *path, to):
    result = copy.deepcopy(document)
    place = result
    for step in path[:-1]:
        place = place.setdefault(step, {})
    place[path[-1]] = to
    return result


DEPLOYMENT = thing(
    "Deployment", "apps/v1", spec={"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {}}
)
CLAIM = thing(
    "PersistentVolumeClaim",
    spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
)


def test_the_same_bundle_has_no_changes():
    assert changes(bundle(DEPLOYMENT, CLAIM), bundle(DEPLOYMENT, CLAIM)) == []


def test_objects_are_added_removed_and_changed():
    old, new = thing("ConfigMap", name="a"), thing("ConfigMap", name="b")
    found = changes(bundle(old, DEPLOYMENT), bundle(new, changed(DEPLOYMENT, "spec", "replicas", to=2)))
    assert [(each.action, each.object, each.fields, each.consequence) for each in found] == [
        ("removed", "ConfigMap n/a", [], ""),
        ("added", "ConfigMap n/b", [], ""),
        ("changed", "Deployment n/x", ["spec.replicas"], ""),
    ]


def test_another_version_of_the_api_is_a_change_of_the_object():
    old, new = thing("Issuer", "cert-manager.io/v1beta1"), thing("Issuer", "cert-manager.io/v1")
    assert only([old], [new]).fields == ["apiVersion"]


def test_items_of_a_list_are_told_by_name():
    def spec(**images):
        containers = [{"name": name, "image": image} for name, image in images.items()]
        return thing("Pod", spec={"containers": containers, "args": ["a", *images]})

    found = only([spec(a="1", b="1")], [spec(a="2", b="1")])
    assert found.fields == ["spec.containers.a.image"]
    assert only([spec(a="1")], [spec(a="1", b="1")]).fields == ["spec.args", "spec.containers.b"]


def test_many_fields_are_cut():
    new = changed(DEPLOYMENT, "metadata", "labels", to={str(number): "x" for number in range(20)})
    assert len(only([DEPLOYMENT], [new]).fields) == 1
    old = changed(DEPLOYMENT, "metadata", "labels", to={})
    assert only([old], [new]).fields[-1] == "and 14 more"


@pytest.mark.parametrize(
    ("document", "path", "value", "field"),
    [
        (DEPLOYMENT, ("spec", "selector", "matchLabels", "a"), "c", "spec.selector"),
        (
            thing("Job", "batch/v1", spec={"template": {"a": 1}}),
            ("spec", "template", "a"),
            2,
            "spec.template",
        ),
        (
            thing("StatefulSet", "apps/v1", spec={"serviceName": "a"}),
            ("spec", "serviceName"),
            "b",
            "serviceName",
        ),
        (thing("Service", spec={}), ("spec", "clusterIP"), "None", "spec.clusterIP"),
        (
            thing("RoleBinding", "rbac.authorization.k8s.io/v1", roleRef={"name": "a"}),
            ("roleRef", "name"),
            "b",
            "roleRef",
        ),
        (thing("Secret", type="Opaque"), ("type",), "kubernetes.io/tls", "type"),
        (thing("ConfigMap", immutable=True, data={"a": "1"}), ("data", "a"), "2", "data"),
        (thing("StorageClass", "storage.k8s.io/v1", provisioner="a"), ("provisioner",), "b", "provisioner"),
        (thing("PriorityClass", "scheduling.k8s.io/v1", value=1), ("value",), 2, "value"),
    ],
)
def test_a_field_that_cannot_change_replaces_the_object(document, path, value, field):
    found = only([document], [changed(document, *path, to=value)])
    assert found.consequence == "replaced"
    assert field in found.why
    other = only([document], [changed(document, "metadata", "labels", to={"a": "b"})])
    assert (other.consequence, other.why) == ("", "")


def test_naming_the_default_is_no_replacement():
    secret = thing("Secret", data={"a": "MQ=="})
    assert only([secret], [changed(secret, "type", to="Opaque")]).consequence == ""


@pytest.mark.parametrize("kind", ["Namespace", "PersistentVolumeClaim", "CustomResourceDefinition"])
def test_removing_what_holds_others_is_forbidden(kind):
    document = thing(kind, spec={})
    found = only([document], [])
    assert (found.action, found.consequence) == ("removed", "forbidden")
    assert "deleted with it" in found.why
    assert only([], [document]).consequence == ""


@pytest.mark.parametrize(
    ("path", "value", "consequence"),
    [
        (("spec", "resources", "requests", "storage"), "9Gi", "forbidden"),
        (("spec", "resources", "requests", "storage"), "20Gi", ""),
        (("spec", "storageClassName"), "fast", "forbidden"),
        (("spec", "volumeMode"), "Filesystem", ""),
    ],
)
def test_a_claim_only_grows(path, value, consequence):
    assert only([CLAIM], [changed(CLAIM, *path, to=value)]).consequence == consequence


def test_templates_of_claims_stay():
    document = thing("StatefulSet", "apps/v1", spec={"volumeClaimTemplates": [{"metadata": {"name": "a"}}]})
    assert (
        only([document], [changed(document, "spec", "volumeClaimTemplates", to=[])]).consequence
        == "forbidden"
    )


A, B = ("v1beta1", True, True), ("v1", True, False)


@pytest.mark.parametrize(
    ("old", "new", "consequence", "why"),
    [
        (crd(A, B), crd(("v1", True, True)), "forbidden", "objects are stored as v1beta1"),
        (crd(A), crd(A, scope="Cluster"), "forbidden", "its scope can't change from Namespaced to Cluster"),
        (crd(A), crd(A, kind="Gadget"), "forbidden", "its kind can't change from Widget to Gadget"),
        (
            crd(("v1", True, True), ("v1beta1", True, False)),
            crd(("v1", True, True)),
            "to check",
            "storedVersions",
        ),
        (
            crd(A, B),
            crd(("v1beta1", True, False), ("v1", True, True)),
            "to check",
            "stored as v1 from now on",
        ),
        (crd(A, B), crd(A, ("v1", False, False)), "to check", "v1 is no longer served"),
        (crd(A), crd(A, B), "", ""),
    ],
)
def test_versions_of_a_definition_keep_stored_objects(old, new, consequence, why):
    found = only([old], [new])
    assert found.consequence == consequence
    assert why in found.why
