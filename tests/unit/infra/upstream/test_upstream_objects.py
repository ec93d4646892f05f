import pytest

from infra.upstream.namespaces import ENFORCE, unknown, with_namespaces
from infra.upstream.objects import Identity, finished, in_namespace
from infra.upstream.part import Append, Own, Part, Remove, Set, Stage, Target
from infra.upstream.patching import PatchError, patched
from infra.upstream.trees import is_used, tree_digest


def config(name="a", namespace="n", **more):
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **more}


def part(**more):
    return Part(name="p", version="1", stage=Stage.CONTROLLERS, steps=(Own(()),), **more)


def test_a_digest_is_of_paths_and_contents_alone():
    tree = {"b/x": b"1", "a": b"2"}
    assert tree_digest(tree) == tree_digest(dict(reversed(tree.items())))
    others = [{"b/x": b"1"}, {"b/x": b"2", "a": b"1"}, {"b": b"1", "a": b"2"}, {"b/x": b"", "a": b"12"}]
    assert len({tree_digest(each) for each in (tree, *others)}) == 5


def test_files_are_used_by_folder_or_name():
    assert is_used("a/b/c", ("a/b",))
    assert is_used("a/b", ("a/b",))
    assert not is_used("a/bc", ("a/b",))


def test_objects_are_in_order_without_what_the_server_writes():
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "c", "creationTimestamp": None, "namespace": "n"},
        "status": {"conditions": []},
    }
    found = finished([config("b"), config("a"), crd])
    assert [str(Identity.of(each)) for each in found] == [
        "CustomResourceDefinition c",
        "ConfigMap n/a",
        "ConfigMap n/b",
    ]
    assert found[0] == {key: crd[key] for key in ("apiVersion", "kind")} | {"metadata": {"name": "c"}}


@pytest.mark.parametrize(
    ("documents", "reason"),
    [
        ([config(namespace="")], "has no namespace"),
        ([config(name="")], "has no name"),
        ([config(), config()], "ConfigMap n/a is there twice"),
        (
            [
                {
                    **config(),
                    "metadata": {
                        "name": "a",
                        "namespace": "n",
                        "annotations": {"helm.sh/hook": "post-install"},
                    },
                }
            ],
            "ConfigMap n/a is a hook",
        ),
    ],
)
def test_an_object_without_an_identity_of_its_own_is_refused(documents, reason):
    with pytest.raises(ValueError, match=reason):
        finished(documents)


def test_helm_gives_a_namespace_only_to_what_has_one():
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}}
    found = in_namespace([config(namespace=""), config(namespace="other"), role], "n")
    assert [each["metadata"].get("namespace") for each in found] == ["n", "other", None]


DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d", "namespace": "n"},
    "spec": {"containers": [{"name": "x", "env": [{"name": "A", "value": "1"}]}, {"name": "y"}]},
}


def test_patches_find_items_by_name_and_change_a_copy():
    there = Target("Deployment", "d")
    [found] = patched(
        [DEPLOYMENT, config()],
        [
            Set(there, ("spec", "containers", "x", "env", "A"), None),
            Set(there, ("spec", "containers", 1, "image"), "i"),
            Append(there, ("spec", "containers"), {"name": "z"}),
            Remove(Target("ConfigMap")),
        ],
    )
    assert found["spec"]["containers"] == [
        {"name": "x", "env": []},
        {"name": "y", "image": "i"},
        {"name": "z"},
    ]
    assert DEPLOYMENT["spec"]["containers"][0]["env"]


@pytest.mark.parametrize(
    "patch",
    [
        Remove(Target("Deployment", "e")),
        Remove(Target("Deployment", "d", "other")),
        Set(Target("Deployment", "d"), ("spec", "template", "x"), 1),
        Set(Target("Deployment", "d"), ("spec", "containers", "z", "image"), "i"),
        Set(Target("Deployment", "d"), ("spec", "nothing"), None),
        Append(Target("Deployment", "d"), ("spec", "nothing"), None),
        Append(Target("Deployment", "d"), ("spec", "containers", "x", "name"), None),
        Set(Target("Deployment", "d"), ("spec", "containers", 7), "i"),
    ],
)
def test_a_patch_that_fits_nothing_is_refused(patch):
    with pytest.raises(PatchError, match=r"Deployment"):
        patched([DEPLOYMENT], [patch])


def test_namespaces_get_their_level_if_rendered_or_not():
    rendered = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": {"a": "b"}}}
    found = with_namespaces(part(namespaces={"n": "restricted", "m": "baseline"}), [rendered, config()])
    labels = {each["metadata"]["name"]: each["metadata"]["labels"] for each in found[1:]}
    assert labels == {"n": {"a": "b", ENFORCE: "restricted"}, "m": {ENFORCE: "baseline"}}
    with pytest.raises(ValueError, match="Namespace n is rendered"):
        with_namespaces(part(), [rendered])


@pytest.mark.parametrize(
    "document",
    [
        config(namespace="gone"),
        {"kind": "ClusterRoleBinding", "metadata": {"name": "b"}, "subjects": [{"namespace": "gone"}]},
        {
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "w"},
            "webhooks": [{"clientConfig": {"service": {"namespace": "gone"}}}],
        },
        {
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "c"},
            "spec": {"conversion": {"webhook": {"clientConfig": {"service": {"namespace": "gone"}}}}},
        },
        {
            "kind": "APIService",
            "metadata": {"name": "a", "annotations": {"cert-manager.io/inject-ca-from": "gone/c"}},
        },
    ],
)
def test_a_namespace_that_no_part_makes_is_found(document):
    assert [name for _, name in unknown([document], ["n"])] == ["gone"]
    assert unknown([document], ["gone"]) == []


def test_stages_follow_the_kind_then_the_part():
    own = part(stages={"ClusterStorageContainer": Stage.RUNTIMES})
    kinds = ("CustomResourceDefinition", "Certificate", "Deployment", "ClusterStorageContainer")
    assert [int(own.stage_of(kind)) for kind in kinds] == [0, 2, 5, 6]
