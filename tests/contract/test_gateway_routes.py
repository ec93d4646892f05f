"""The Gateway and its routes, before a real API server with the definitions of the bundle's Gateway API."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.apiserver import ApiServer, api_server
from support.waiting import eventually

from infra import gateway_routes
from infra.kubernetes_api import KubernetesApi
from infra.stack.preflight import refuse_unsuitable
from infra.upstream import bundle, object_store, preparing
from slipway.core.errors import FailedError, UsageError
from slipway.core.report import silent
from slipway.operations.upstream_parts import BUILDER

pytestmark = [pytest.mark.contract, pytest.mark.timeout(600)]
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
API = "/apis/gateway.networking.k8s.io/v1"
PARTS = ("gateway-api",)
HOSTS = {"gateway": "models.acme.test", "store": "store.acme.test", "console": "console.acme.test"}
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
CERTIFICATES = {
    "metadata": {"name": "certificates.cert-manager.io"},
    "spec": {
        "group": "cert-manager.io",
        "names": {"kind": "Certificate", "plural": "certificates"},
        "scope": "Namespaced",
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": ANYTHING}}
        ],
    },
}
"""A stand-in for cert-manager's own definition, which is on no machine without its sources."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One of its own: without controllers, nothing deletes the namespaces that the test makes."""
    with api_server(tmp_path_factory.mktemp("apiserver")) as running:
        yield running


@pytest.fixture
def opened(server: ApiServer) -> Iterator[KubernetesApi]:
    api = KubernetesApi.of_content(server.kubeconfig)
    yield api
    api.close()


def refused(server: ApiServer, gateway_class: str) -> UsageError:
    # Another connection for each look: which kinds are served is read once.
    api = KubernetesApi.of_content(server.kubeconfig)
    try:
        with pytest.raises(UsageError) as caught:
            refuse_unsuitable(api, gateway_class=gateway_class)
    finally:
        api.close()
    return caught.value


@pytest.fixture
def definitions(server: ApiServer, cluster: httpx.Client) -> Iterator[list[str]]:
    assert "does not serve TLSRoute" in refused(server, "any").what, "nothing is there yet"
    preparing.prepare(bundle.locked(PARTS), BUILDER, silent)
    made = []
    for part in bundle.bundled(PARTS):
        for document in part.documents:
            if document["kind"] == "CustomResourceDefinition":
                body = object_store.canonical(document)
                headers = {"Content-Type": "application/json"}
                cluster.post(DEFINITIONS, content=body, headers=headers).raise_for_status()
                made.append(document["metadata"]["name"])
    yield made
    for name in (*made, CERTIFICATES["metadata"]["name"]):
        cluster.delete(f"{DEFINITIONS}/{name}")


def test_the_api_server_accepts_every_object(
    server: ApiServer, cluster: httpx.Client, opened: KubernetesApi, definitions: list[str]
) -> None:
    assert "tlsroutes.gateway.networking.k8s.io" in definitions
    for plural in ("gatewayclasses", "gateways", "httproutes", "tlsroutes"):
        eventually(lambda each=plural: cluster.get(f"{API}/{each}").status_code == 200)
    assert "does not serve Certificate" in refused(server, "acme").what
    cluster.post(DEFINITIONS, json=CERTIFICATES).raise_for_status()
    eventually(lambda: cluster.get("/apis/cert-manager.io/v1/certificates").status_code == 200)

    error = refused(server, "acme")
    assert (error.what, error.why) == (
        "The cluster has no GatewayClass 'acme'.",
        "Its GatewayClasses are: none.",
    )
    gateway_class = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "acme"},
        "spec": {"controllerName": "acme.test/gateways"},
    }
    cluster.post(f"{API}/gatewayclasses", json=gateway_class).raise_for_status()
    refuse_unsuitable(opened, gateway_class="acme")

    documents = gateway_routes.documents("acme", "letsencrypt", HOSTS)
    for namespace in sorted({each["metadata"]["namespace"] for each in documents}):
        assert cluster.post("/api/v1/namespaces", json={"metadata": {"name": namespace}}).status_code in (
            201,
            409,
        )
    for document in documents:
        assert apply(opened, document)["name"] == document["metadata"]["name"]
    wrong = next(each for each in documents if each["kind"] == "Gateway")
    wrong = {**wrong, "spec": {**wrong["spec"], "listeners": []}}
    with pytest.raises(FailedError, match="listeners"):
        apply(opened, wrong)


def apply(api: KubernetesApi, document: Any) -> Any:
    metadata = document["metadata"]
    path = api.path(document["apiVersion"], document["kind"], metadata["namespace"], metadata["name"])
    assert path is not None
    return api.apply(path, dict(document), manager="test", dry_run=True)["metadata"]
