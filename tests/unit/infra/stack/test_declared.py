"""What a stack's state says of the cluster's objects."""

from infra.stack.declared import declared_objects, outputs_of


def resource(kind, identity, **more):
    return {"urn": f"urn:pulumi:local::slipway::{kind}::{identity}", "type": kind, "id": identity, **more}


EXPORTED = {
    "deployment": {
        "resources": [
            resource("pulumi:pulumi:Stack", "", outputs={"contract_version": 2}),
            resource("pulumi:providers:kubernetes", "cluster", custom=True),
            resource("slipway:storage:MinioStore", "", custom=False),
            resource("slipway:embedded:Cluster", "slw", custom=True),
            resource("kubernetes:core/v1:Namespace", "team-a", custom=True, inputs={"apiVersion": "v1"}),
            resource(
                "kubernetes:networking.k8s.io/v1:NetworkPolicy",
                "team-a/allow-dns",
                custom=True,
                inputs={"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"},
            ),
            resource("kubernetes:core/v1:Secret", "team-a/store-editor", custom=True),
            resource("kubernetes:apps/v1:Deployment", "", custom=True),
        ]
    }
}


def test_objects_of_the_cluster_are_named_as_its_api_names_them():
    found = list(declared_objects(EXPORTED))
    assert [(each.api_version, each.kind, each.namespace, each.name) for each in found] == [
        ("v1", "Namespace", "", "team-a"),
        ("networking.k8s.io/v1", "NetworkPolicy", "team-a", "allow-dns"),
        ("v1", "Secret", "team-a", "store-editor"),
    ]
    assert [str(each) for each in found] == [
        "Namespace team-a", "NetworkPolicy team-a/allow-dns", "Secret team-a/store-editor",
    ]  # fmt: skip


def test_an_empty_stack_has_neither_objects_nor_outputs():
    for exported in ({"deployment": {}}, {"deployment": {"resources": None}}):
        assert list(declared_objects(exported)) == []
        assert outputs_of(exported) == {}
    assert outputs_of(EXPORTED) == {"contract_version": 2}
