"""What the program declares for a stack of kind."""

import json
from pathlib import Path

from support.engine import Engine, reveal
from support.recorded_platform import IMAGES

from infra.cluster.handle import ClusterHandle
from infra.cluster.kind import create
from infra.cluster.registry_login import RegistryLogin
from infra.components.node_ports import PublishedServices
from infra.settings.models import KindSettings
from infra.versions import KIND_NODE_IMAGE


def declared(**settings) -> tuple[Engine, ClusterHandle]:
    values = {"environment": "kind", "kfp": {"kind": "embedded"}, **settings}
    platform = KindSettings.model_validate_json(json.dumps(values))
    handles: list[ClusterHandle] = []

    def run() -> None:
        handles.append(create.create(platform, RegistryLogin(), Path("/here/Pulumi.kind.yaml")))
        assert handles[0].node_ports is not None
        PublishedServices("node-ports", handles[0].node_ports)

    return Engine().deploy(run), handles[0]


def test_the_cluster_is_declared_with_its_ports_and_urls():
    engine, handle = declared(endpoints={"gateway": 20001, "store": 20002, "kfp": 20003})
    inputs = reveal(engine.one("cluster").inputs)
    assert (inputs["name"], inputs["nodeImage"]) == ("slipway", KIND_NODE_IMAGE)
    assert inputs["ports"] == [
        {"port": 20001, "nodePort": 30080},
        {"port": 20002, "nodePort": 30081},
        {"port": 20003, "nodePort": 30083},
    ]
    urls = handle.endpoints
    assert (urls.gateway, urls.store) == ("http://127.0.0.1:20001", "https://127.0.0.1:20002")
    assert (urls.console, urls.kfp) == (None, "http://127.0.0.1:20003")


def test_every_port_of_the_node_has_a_service():
    engine, _ = declared(store={"console": True})
    mapped = {port["nodePort"] for port in reveal(engine.one("cluster").inputs)["ports"]}
    services = [reveal(service.inputs)["spec"] for service in engine.of("Service")]
    assert {port["nodePort"] for spec in services for port in spec["ports"]} == mapped
    assert {spec["type"] for spec in services} == {"NodePort"}
    assert len(mapped) == 4


def test_pods_may_not_enter_by_a_port_of_the_node():
    engine, _ = declared()
    policies = [reveal(policy.inputs)["spec"] for policy in engine.of("NetworkPolicy")]
    assert len(policies) == 3
    for policy in policies:
        [rule] = policy["ingress"]
        assert rule["from"] == [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.244.0.0/16"]}}]


def test_an_outside_store_has_no_port():
    engine, handle = declared(
        store={
            "kind": "external",
            "endpoint": "https://s3.example.org",
            "region": "us-east-1",
            "administration": "minio",
            "buckets": {"artifacts": "a-one", "models": "m-one", "data": "d-one"},
        }
    )
    assert handle.endpoints.store is None
    assert len(engine.of("Service")) == 2


def test_images_are_built_where_no_registry_is_named():
    engine, handle = declared()
    loaded = {made.name: reveal(made.inputs) for made in engine.of("slipway:kind:Image")}
    assert {name.replace("-", "_") for name in loaded} == {*IMAGES}
    assert handle.images.minio.reference == loaded["minio"]["reference"]
    assert handle.images.minio.ready is not None


def test_images_of_a_registry_are_pulled():
    references = {name: f"registry.example.org/{name}@sha256:{'a' * 64}" for name in IMAGES}
    engine, handle = declared(images=references)
    assert engine.of("slipway:kind:Image") == []
    assert handle.images.gateway.reference == references["gateway"]
    assert handle.images.gateway.ready is None


def test_objects_are_deleted_with_the_cluster():
    engine, _ = declared()
    assert engine.of("Service"), "the control"
    assert reveal(engine.one("kubernetes").inputs)["clusterIdentifier"] == "slipway"
