"""What each kind of endpoints declares: load balancers, routes of a Gateway, or nothing."""

from typing import Any

import pytest
from support.engine import Engine, reveal

from infra.cluster import existing
from infra.cluster.handle import ClusterHandle
from infra.cluster.registry_login import RegistryLogin
from infra.components.load_balancers import LoadBalancedServices
from infra.components.node_ports import PublishedServices
from infra.components.routes import GatewayRoutes
from infra.required_rights import OF_GATEWAY_API, RESOURCES, required_rights
from infra.settings.models import DevSettings, ImageReferences

HOSTS = {"gateway": "models.acme.test", "store": "store.acme.test"}
KINDS: dict[str, dict[str, Any]] = {
    "port-forward": {"gateway": 18080, "store": 18081, "kfp": 18083},
    "node-port": {"host": "192.0.2.7", "gateway": 30080, "store": 30443, "kfp_port": 18083},
    "load-balancer": {**HOSTS, "annotations": {"cloud": "internal"}, "kfp_port": 18083},
    "gateway-api": {**HOSTS, "gateway_class": "istio", "issuer": "acme", "kfp_port": 18083},
    "urls": {"gateway": "http://a", "store": "https://b", "kfp": "http://c"},
}


def declared(kind: str, **more: object) -> tuple[Engine, ClusterHandle]:
    platform = DevSettings.model_validate(
        {
            "environment": "dev",
            "cluster": {"context": "ml"},
            "kfp": {"kind": "embedded"},
            "images": dict.fromkeys(ImageReferences.model_fields, f"registry.test/a@sha256:{'1' * 64}"),
            "endpoints": {"kind": kind, **KINDS[kind], **more},
            "store": {"console": "console" in more},
        }
    )
    handles: list[ClusterHandle] = []

    def run() -> None:
        handle = existing.create(platform, RegistryLogin())
        handles.append(handle)
        if handle.node_ports:
            PublishedServices("node-ports", handle.node_ports)
        if handle.load_balancers:
            LoadBalancedServices("load-balancers", handle.load_balancers)
        if handle.routes:
            GatewayRoutes("routes", handle.routes)

    return Engine().deploy(run), handles[0]


def objects(engine: Engine, kind: str) -> list[dict[str, Any]]:
    return [reveal(made.inputs) for made in engine.objects() if made.inputs["kind"] == kind]


@pytest.mark.parametrize("kind", ["port-forward", "urls"])
def test_nothing_is_published_that_was_not_asked_for(kind: str) -> None:
    engine, _ = declared(kind)
    assert [*engine.objects()] == []


@pytest.mark.parametrize("kind", ["node-port", "load-balancer", "gateway-api"])
def test_the_pipelines_api_is_published_by_no_kind(kind: str) -> None:
    engine, handle = declared(kind)
    assert {body["metadata"]["namespace"] for body in (reveal(made.inputs) for made in engine.objects())} == {
        "slipway-gateway",
        "slipway-store",
    }
    assert handle.endpoints.kfp == "http://127.0.0.1:18083"


def test_node_ports_are_those_of_the_settings() -> None:
    engine, handle = declared("node-port")
    ports = [port["nodePort"] for body in objects(engine, "Service") for port in body["spec"]["ports"]]
    assert sorted(ports) == [30080, 30443]
    assert handle.endpoints.store == "https://192.0.2.7:30443"
    for policy in objects(engine, "NetworkPolicy"):
        [rule] = policy["spec"]["ingress"]
        assert rule["from"] == [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "addresses of pods are not known"


def test_load_balancers_have_the_annotations_and_urls() -> None:
    engine, handle = declared("load-balancer", console="console.acme.test")
    services = objects(engine, "Service")
    assert [body["spec"]["type"] for body in services] == ["LoadBalancer", "LoadBalancer"]
    for body in services:
        assert body["metadata"]["annotations"] == {"cloud": "internal", "pulumi.com/skipAwait": "true"}
    assert sorted(port["port"] for body in services for port in body["spec"]["ports"]) == [8080, 9000, 9001]
    assert handle.endpoints.gateway == "http://models.acme.test:8080"
    assert handle.endpoints.store == "https://store.acme.test:9000"


def test_a_gateway_ends_the_tls_of_models_alone() -> None:
    engine, handle = declared("gateway-api")
    [gateway] = objects(engine, "Gateway")
    assert gateway["spec"]["gatewayClassName"] == "istio"
    modes = {each["hostname"]: each["tls"]["mode"] for each in gateway["spec"]["listeners"]}
    assert modes == {"models.acme.test": "Terminate", "store.acme.test": "Passthrough"}
    [certificate] = objects(engine, "Certificate")
    assert certificate["spec"]["dnsNames"] == ["models.acme.test"]
    assert certificate["spec"]["issuerRef"]["name"] == "acme"
    [listener] = [each for each in gateway["spec"]["listeners"] if each["tls"]["mode"] == "Terminate"]
    assert listener["tls"]["certificateRefs"] == [{"name": certificate["spec"]["secretName"]}]
    routes = {
        body["metadata"]["name"]: body for kind in ("HTTPRoute", "TLSRoute") for body in objects(engine, kind)
    }
    assert set(routes) == {"gateway", "minio-store"}
    for body in routes.values():
        [parent] = body["spec"]["parentRefs"]
        [section] = [each for each in gateway["spec"]["listeners"] if each["name"] == parent["sectionName"]]
        assert body["spec"]["hostnames"] == [section["hostname"]]
    assert (handle.endpoints.gateway, handle.endpoints.store) == (
        "https://models.acme.test",
        "https://store.acme.test",
    )


def test_rights_on_a_gateway_are_needed_only_with_one() -> None:
    engine, _ = declared("gateway-api")
    kinds = {made.inputs["kind"] for made in engine.objects()} - set(RESOURCES)
    assert {f"{kind.lower()}s" for kind in kinds} == {resource for _, resource in OF_GATEWAY_API}
    named = {right.resource for right in required_rights(gateway_api=True)}
    assert {resource for _, resource in OF_GATEWAY_API} <= named
    assert "tlsroutes" not in {right.resource for right in required_rights()}
