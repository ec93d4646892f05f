"""The admission policy on a real API server with KServe's own definitions: what may be served, and why."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.apiserver import ApiServer, api_server, patiently

from embedded.toolchain import kserve_manifests
from infra import admission
from infra.components.kserve import load_crds
from storage.layout import Buckets, runs_prefix, version_prefix

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]

BUCKETS = Buckets(artifacts="acme-artifacts", models="acme-models", data="acme-data")
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
DIGEST = "0" * 64
BINDING = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": admission.MODEL_SOURCE},
    "spec": {"policyName": admission.MODEL_SOURCE, "validationActions": ["Deny"]},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("apiserver")) as running, running.http() as http:
        definition = load_crds(kserve_manifests())["inferenceservices"]
        definition["spec"].pop("conversion", None)  # its webhook is KServe's, which does not run here
        answer = http.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=definition)
        answer.raise_for_status()
        policy = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": admission.MODEL_SOURCE},
            "spec": admission.model_source(BUCKETS),
        }
        http.post(POLICIES, json=policy).raise_for_status()
        http.post(BINDINGS, json=BINDING).raise_for_status()
        yield running


class Tenant:
    """A tenant's namespace, in which models are to be served."""

    def __init__(self, http: httpx.Client, name: str) -> None:
        self._http = http
        self.name = name
        self._path = f"/apis/serving.kserve.io/v1beta1/namespaces/{name}/inferenceservices"

    @property
    def promoted(self) -> str:
        """Where promotion puts a version's files."""
        return f"s3://{BUCKETS.models}/{version_prefix(self.name, 'churn', DIGEST)}files"

    @property
    def reason(self) -> str:
        return (
            f"storageUri must begin with s3://{BUCKETS.models}/{self.name}/ : "
            "models are served from where promotion put them."
        )

    def serve(self, uri: str | None, *, name: str = "churn", **more: Any) -> httpx.Response:
        """Ask for an InferenceService, without making it."""
        return self._http.post(self._path, params={"dryRun": "All"}, json=self.service(uri, name, **more))

    def service(self, uri: str | None, name: str = "churn", **more: Any) -> dict[str, Any]:
        model = {"modelFormat": {"name": "sklearn"}, **({"storageUri": uri} if uri else {})}
        model |= more.pop("model", {})
        return {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": name, "namespace": self.name},
            "spec": {"predictor": {"model": model} | more.pop("predictor", {}), **more},
        }

    def make(self, uri: str) -> None:
        self._http.post(self._path, json=self.service(uri)).raise_for_status()

    def move(self, uri: str) -> httpx.Response:
        """Ask the InferenceService that is there to serve something else."""
        return self._http.patch(
            f"{self._path}/churn",
            params={"dryRun": "All"},
            headers={"Content-Type": "application/merge-patch+json"},
            json={"spec": {"predictor": {"model": {"storageUri": uri}}}},
        )


@pytest.fixture
def tenant(server: ApiServer) -> Iterator[Tenant]:
    with server.http() as http:
        made = Tenant(http, server.namespace())
        patiently(lambda: made.serve(f"s3://{BUCKETS.artifacts}/x").status_code == 403)
        yield made


def refused(answer: httpx.Response) -> str:
    """Return the policy's words for a refusal; anything else fails."""
    status = answer.json()
    assert (answer.status_code, status["reason"]) == (403, "Forbidden"), status
    return str(status["message"])


def test_a_promoted_version_is_admitted(tenant: Tenant) -> None:
    assert tenant.serve(tenant.promoted).status_code == 201


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("s3://acme-artifacts/{runs}model", id="below the prefix of runs, which expires"),
        pytest.param("s3://acme-artifacts/{tenant}/churn", id="elsewhere in the bucket that expires"),
        pytest.param("s3://acme-data/{tenant}/churn", id="input data"),
        pytest.param("s3://acme-models/{tenant}-b/churn", id="a tenant whose name begins alike"),
        pytest.param("s3://acme-models/other/churn", id="another tenant"),
        pytest.param("s3://acme-models/{tenant}", id="the tenant's prefix without its slash"),
        pytest.param("s3://acme-models-b/{tenant}/churn", id="a bucket whose name begins alike"),
        pytest.param("s3://acme-models/{tenant}/../other/churn", id="a way out"),
        pytest.param("s3://acme-models/{tenant}/%2e%2e/other/churn", id="an encoded way out"),
        pytest.param("S3://acme-models/{tenant}/churn", id="another spelling of the scheme"),
        pytest.param("gs://acme-models/{tenant}/churn", id="another kind of store"),
        pytest.param("pvc://claim/churn", id="a volume"),
        pytest.param("https://example.com/model.joblib", id="the internet"),
    ],
)
def test_a_model_from_anywhere_else_is_refused_with_the_reason(tenant: Tenant, uri: str) -> None:
    there = uri.format(tenant=tenant.name, runs=runs_prefix(tenant.name))
    assert tenant.reason in refused(tenant.serve(there))


def test_what_is_served_can_not_be_moved_elsewhere(tenant: Tenant) -> None:
    tenant.make(tenant.promoted)
    assert tenant.move(tenant.promoted.replace(DIGEST, "1" * 64)).status_code == 200, "the control"
    assert tenant.reason in refused(tenant.move(f"s3://{BUCKETS.artifacts}/{runs_prefix(tenant.name)}model"))


def test_no_uri_is_refused(tenant: Tenant) -> None:
    assert "spec.predictor.model.storageUri is required." in refused(tenant.serve(None))


@pytest.mark.parametrize(
    "more",
    [
        {"model": {"storage": {"key": "default", "path": "elsewhere"}}},
        {"model": {"image": "example.com/other:1"}},
        {"model": {"env": [{"name": "MLSERVER_MODEL_URI", "value": "/elsewhere"}]}},
        {"predictor": {"containers": [{"name": "own", "image": "example.com/other:1"}]}},
        {"predictor": {"volumes": [{"name": "own", "emptyDir": {}}]}},
    ],
)
def test_nothing_runs_beside_the_promoted_model(tenant: Tenant, more: dict[str, Any]) -> None:
    assert " takes " in refused(tenant.serve(tenant.promoted, **more))


def test_it_is_the_policy_that_refuses(server: ApiServer, tenant: Tenant) -> None:
    """The control taken away: without its binding the same request passes."""
    expiring = f"s3://{BUCKETS.artifacts}/{runs_prefix(tenant.name)}model"
    assert tenant.serve(expiring).status_code == 403
    with server.http() as http:
        http.delete(f"{BINDINGS}/{admission.MODEL_SOURCE}").raise_for_status()
        try:
            patiently(lambda: tenant.serve(expiring).status_code == 201)
        finally:
            http.post(BINDINGS, json=BINDING).raise_for_status()
    patiently(lambda: tenant.serve(expiring).status_code == 403)
