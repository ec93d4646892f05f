"""The admission policy on a real API server with KServe's own definitions: what may be served, and why."""

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from support import kserve
from support.apiserver import ApiServer, api_server
from support.platform import outputs
from support.variants import variants
from support.waiting import eventually

from infra import admission
from serving import inference
from serving.credentials import annotation
from storage.layout import Buckets, runs_prefix, version_prefix

pytestmark = [pytest.mark.contract, pytest.mark.timeout(900)]

BUCKETS = Buckets(artifacts="acme-artifacts", models="acme-models", data="acme-data")
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
DIGEST = "0" * 64
LIMITS = outputs().serving.limits
BINDING = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": admission.MODEL_SOURCE},
    "spec": {"policyName": admission.MODEL_SOURCE, "validationActions": ["Deny"]},
}
Body = dict[str, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("apiserver")) as running, running.http() as http:
        kserve.definitions(http)
        policy = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": admission.MODEL_SOURCE},
            "spec": admission.model_source(BUCKETS, LIMITS),
        }
        http.post(POLICIES, json=policy).raise_for_status()
        http.post(BINDINGS, json=BINDING).raise_for_status()
        yield running


class Tenant:
    """A tenant's namespace, in which models are to be served."""

    def __init__(self, http: httpx.Client, name: str) -> None:
        self._http = http
        self.name = name
        self.path = f"/apis/serving.kserve.io/v1beta1/namespaces/{name}/inferenceservices"

    def uri(self, digest: str = DIGEST, model: str = "churn") -> str:
        """Where promotion puts a version's files."""
        return f"s3://{BUCKETS.models}/{version_prefix(self.name, model, digest)}files"

    def promoted(self, digest: str = DIGEST, model: str = "churn") -> Body:
        """Exactly what promotion writes."""
        known = outputs()
        place = known.tenants["team-a"].model_copy(
            update={"namespace": self.name, "models_uri": BUCKETS.models_uri(self.name)}
        )
        version = inference.ServedVersion(
            model, digest, self.uri(digest, model), 1, "run-1", "b" * 64, "c" * 40, "d" * 64
        )
        known = known.model_copy(update={"tenants": {self.name: place}})
        return inference.manifest(known, self.name, version)

    def changed(self, change: Callable[[Body], object], **promoted: str) -> Body:
        body = copy.deepcopy(self.promoted(**promoted))
        change(body)
        return body

    def ask(self, body: Body, http: httpx.Client | None = None) -> httpx.Response:
        """Ask for an InferenceService, without making it."""
        return (http or self._http).post(self.path, params={"dryRun": "All"}, json=body)

    def make(self, body: Body) -> None:
        self._http.post(self.path, json=body).raise_for_status()

    def update(self, body: Body, name: str = "churn") -> httpx.Response:
        """Ask the InferenceService that is there to be something else."""
        live = self._http.get(f"{self.path}/{name}").json()
        body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
        return self._http.put(f"{self.path}/{name}", params={"dryRun": "All"}, json=body)

    def patch(self, body: Body, subresource: str = "") -> httpx.Response:
        return self._http.patch(
            f"{self.path}/churn{subresource}",
            headers={"Content-Type": "application/merge-patch+json"},
            json=body,
        )


@pytest.fixture
def tenant(server: ApiServer) -> Iterator[Tenant]:
    with server.http() as http:
        made = Tenant(http, server.namespace())
        eventually(lambda: made.ask(moved(made, "pvc://x")).status_code == 403)
        yield made


def moved(tenant: Tenant, uri: str) -> Body:
    return tenant.changed(lambda body: body["spec"]["predictor"]["model"].update(storageUri=uri))


def refused(answer: httpx.Response) -> str:
    """Return the policy's words for a refusal; anything else fails."""
    status = answer.json()
    assert (answer.status_code, status["reason"]) == (403, "Forbidden"), status
    assert f"ValidatingAdmissionPolicy '{admission.MODEL_SOURCE}'" in status["message"]
    return str(status["message"])


# --- what passes ------------------------------------------------------------------------------------------


def test_what_promotion_writes_passes_from_beginning_to_end(tenant: Tenant) -> None:
    tenant.make(tenant.promoted())
    live = tenant._http.get(f"{tenant.path}/churn").json()
    answers = [
        tenant.patch({"metadata": {"finalizers": ["inferenceservice.finalizers"]}}),
        tenant.patch({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, "/status"),
        tenant.patch(annotation(live, "0123456789abcdef")),
        tenant.update(tenant.promoted("1" * 64)),
        tenant._http.delete(f"{tenant.path}/churn"),
        tenant.patch({"metadata": {"finalizers": []}}),
    ]
    assert [answer.status_code for answer in answers] == [200] * 6, [answer.text for answer in answers]
    assert tenant._http.get(f"{tenant.path}/churn").status_code == 404


def test_kserve_adds_just_what_the_policy_lets_in(server: ApiServer, tmp_path: Any) -> None:
    """The controller itself: its webhooks change an object, and it adds a finalizer and a status."""
    with kserve.controller(server, tmp_path), server.http() as http:
        tenant = Tenant(http, server.namespace())
        body = tenant.promoted()
        # The API server reads webhooks from a cache, so at first it may pass the body as it is.
        eventually(lambda: "modelFormat" in tenant.ask(body).json()["metadata"]["annotations"])
        tenant.make(body)
        eventually(lambda: "status" in http.get(f"{tenant.path}/churn").json())
        live = http.get(f"{tenant.path}/churn").json()
        assert live["metadata"]["finalizers"] == ["inferenceservice.finalizers"]
        added = live["metadata"]["annotations"].items() - body["metadata"]["annotations"].items()
        assert dict(added) == {"modelFormat": body["spec"]["predictor"]["model"]["modelFormat"]["name"]}
        assert live["spec"]["predictor"]["model"].pop("name") == ""
        assert live["spec"] == body["spec"]
        # The controller writes too, so the version that was read may be gone.
        eventually(lambda: tenant.update(tenant.promoted("1" * 64)).status_code == 200)
        scaled = tenant.changed(lambda b: b["spec"]["predictor"].update(minReplicas=0))
        answer = eventually(lambda: asked if (asked := tenant.update(scaled)).status_code != 409 else None)
        assert "spec.predictor.minReplicas" in refused(answer)
        http.delete(f"{tenant.path}/churn").raise_for_status()
        eventually(lambda: http.get(f"{tenant.path}/churn").status_code == 404)


# --- what does not ----------------------------------------------------------------------------------------


def schema() -> Body:
    [version] = kserve.definition("inferenceservices")["spec"]["versions"]
    found: Body = version["schema"]["openAPIV3Schema"]
    return found


def test_every_other_value_of_every_field_is_refused(server: ApiServer, tenant: Tenant) -> None:
    """A refusal by the policy says that the schema allows the variant: the server looks at that first."""
    family = list(variants(tenant.promoted(), schema(), ("spec",)))
    kinds = Counter(variant.kind.split()[0] for variant in family)
    assert min(kinds[kind] for kind in ("added", "absent", "other")) > 20, kinds
    assert kinds["deep"] > 5000, kinds
    with server.http() as http, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda variant: tenant.ask(variant.body, http), family))
    assert {
        f"{variant.path} ({variant.kind})": answer.text
        for variant, answer in zip(family, answers, strict=True)
        if answer.status_code != 403 or admission.MODEL_SOURCE not in answer.text
    } == {}


def test_it_is_the_policy_that_refuses(server: ApiServer, tenant: Tenant) -> None:
    """The control taken away: without its binding the same requests pass."""
    every = variants(tenant.promoted(), schema(), ("spec",))
    family = [variant.body for variant in every if not variant.kind.startswith("deep")]
    assert {tenant.ask(body).status_code for body in family} == {403}
    with server.http() as http:
        http.delete(f"{BINDINGS}/{admission.MODEL_SOURCE}").raise_for_status()
        try:
            eventually(lambda: tenant.ask(family[0]).status_code == 201)
            assert {tenant.ask(body).status_code for body in family} == {201}
        finally:
            http.post(BINDINGS, json=BINDING).raise_for_status()
    eventually(lambda: tenant.ask(family[0]).status_code == 403)


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("s3://acme-artifacts/{runs}model", id="below the prefix of runs, which expires"),
        pytest.param("s3://acme-artifacts/{tenant}/churn", id="elsewhere in the bucket that expires"),
        pytest.param("s3://acme-data/{tenant}/churn", id="input data"),
        pytest.param("s3://acme-models/{tenant}-b/churn/versions/{d}/files", id="a name that begins alike"),
        pytest.param("s3://acme-models/other/churn/versions/{d}/files", id="another tenant"),
        pytest.param("s3://acme-models/{tenant}/other/versions/{d}/files", id="another model"),
        pytest.param("s3://acme-models/{tenant}/churn/versions/{e}/files", id="not the annotated version"),
        pytest.param("s3://acme-models/{tenant}/churn/versions/{d}/files/", id="a slash at the end"),
        pytest.param("s3://acme-models/{tenant}/churn/versions/{d}", id="the version without its files"),
        pytest.param("s3://acme-models/{tenant}", id="the tenant's prefix"),
        pytest.param("s3://acme-models-b/{tenant}/churn/versions/{d}/files", id="another bucket"),
        pytest.param("s3://acme-models/{tenant}/../other/churn/versions/{d}/files", id="a path upwards"),
        pytest.param("s3://acme-models/{tenant}/%2e%2e/other/churn", id="an encoded path upwards"),
        pytest.param("S3://acme-models/{tenant}/churn/versions/{d}/files", id="another spelling"),
        pytest.param("gs://acme-models/{tenant}/churn", id="another kind of store"),
        pytest.param("pvc://claim/churn", id="a volume"),
        pytest.param("https://example.com/model.joblib", id="the internet"),
    ],
)
def test_a_model_from_anywhere_else_is_refused_with_the_reason(tenant: Tenant, uri: str) -> None:
    there = uri.format(tenant=tenant.name, runs=runs_prefix(tenant.name), d=DIGEST, e="1" * 64)
    message = refused(tenant.ask(moved(tenant, there)))
    assert f"storageUri must be s3://acme-models/{tenant.name}/churn/versions/<digest>/files" in message


def test_what_is_served_can_not_be_moved_elsewhere(tenant: Tenant) -> None:
    tenant.make(tenant.promoted())
    assert tenant.update(tenant.promoted("1" * 64)).status_code == 200, "the control"
    elsewhere = f"s3://{BUCKETS.artifacts}/{runs_prefix(tenant.name)}model"
    assert "storageUri must be" in refused(tenant.update(moved(tenant, elsewhere)))


INTERNAL = "internal.serving.kserve.io"
ANNOTATIONS = {
    f"{INTERNAL}/storage-spec": "true",
    f"{INTERNAL}/storage-spec-param": '{"type": "s3", "endpoint_url": "https://example.com"}',
    f"{INTERNAL}/storage-spec-key": "default",
    f"{INTERNAL}/storage-initializer-sourceuri": "s3://elsewhere/model",
    f"{INTERNAL}/agent": "true",
    f"{INTERNAL}/logger": "true",
    "serving.kserve.io/deploymentMode": "Knative",
    "serving.kserve.io/autoscalerClass": "hpa",
    "serving.kserve.io/storageSecretName": "store-editor",
    "serving.kserve.io/stop": "true",
    "serving.kserve.io/disable-auto-update": "true",
    "serving.kserve.io/s3-endpoint": "example.com",
    "storage.kserve.io/readonly": "false",
    "sidecar.istio.io/inject": "true",
    "modelFormat": "other",
    "kubectl.kubernetes.io/last-applied-configuration": "{}",
    "slipway.dev/promotion": "0",
    "slipway.dev/run-id": "two words",
    "slipway.dev/model-digest": "1" * 64,
    "slipway.dev/another": "x",
}


@pytest.mark.parametrize("key", ANNOTATIONS)
def test_other_annotations_are_refused(tenant: Tenant, key: str) -> None:
    changed = tenant.changed(lambda body: body["metadata"]["annotations"].update({key: ANNOTATIONS[key]}))
    assert "promotion" in refused(tenant.ask(changed))
    on_pods = tenant.changed(
        lambda body: body["spec"]["predictor"]["annotations"].update({key: ANNOTATIONS[key]})
    )
    assert "spec.predictor.annotations must be" in refused(tenant.ask(on_pods))


def test_every_annotation_and_label_of_promotion_is_required(tenant: Tenant) -> None:
    for held in ("annotations", "labels"):
        for key in tenant.promoted()["metadata"][held]:
            refused(tenant.ask(tenant.changed(lambda body, h=held, k=key: body["metadata"][h].pop(k))))
        refused(tenant.ask(tenant.changed(lambda body, h=held: body["metadata"].pop(h))))
    refused(tenant.ask(tenant.changed(lambda body: body["metadata"]["labels"].update(x="y"))))
    other = {"slipway.dev/tenant": "other"}
    refused(tenant.ask(tenant.changed(lambda body: body["metadata"]["labels"].update(other))))


@pytest.mark.parametrize("name", ["a.b", "1model", "x" * 41])
def test_a_name_that_no_model_has_is_refused(tenant: Tenant, name: str) -> None:
    def rename(body: Body) -> None:
        body["metadata"]["name"] = name
        model = body["spec"]["predictor"]["model"]
        model["storageUri"] = model["storageUri"].replace("/churn/", f"/{name}/")

    assert "metadata.name must be" in refused(tenant.ask(tenant.changed(rename)))


def test_no_foreign_finalizer_or_owner_is_taken(tenant: Tenant) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}
    for field, value in (("finalizers", ["example.com/keep"]), ("ownerReferences", [owner])):
        changed = tenant.changed(lambda body, f=field, v=value: body["metadata"].update({f: v}))
        assert f"metadata.{field}" in refused(tenant.ask(changed))


# --- attacks that passed an earlier policy ----------------------------------------------------------------


def test_annotations_can_not_redirect_the_download(tenant: Tenant) -> None:
    """KServe's pod mutator would take the store and its endpoint from them."""
    spec = {key: value for key, value in ANNOTATIONS.items() if "/storage-spec" in key}
    assert len(spec) == 3
    changed = tenant.changed(lambda body: body["metadata"]["annotations"].update(spec))
    assert "metadata.annotations must be" in refused(tenant.ask(changed))


def test_no_probe_runs_a_command_as_another_account(tenant: Tenant) -> None:
    """It would read the editor's Secret with the token of the editor's ServiceAccount."""
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 10}

    def attack(body: Body) -> None:
        body["spec"]["predictor"].update(
            serviceAccountName="default-editor", automountServiceAccountToken=True
        )
        body["spec"]["predictor"]["model"]["livenessProbe"] = probe

    message = refused(tenant.ask(tenant.changed(attack)))
    for field in ("serviceAccountName", "automountServiceAccountToken", "model.livenessProbe"):
        assert f"spec.predictor.{field}" in message


def test_nobody_claims_that_an_object_is_being_deleted(tenant: Tenant) -> None:
    """What is being deleted is not looked at, so that it can lose its finalizer."""
    bad = moved(tenant, "s3://elsewhere/model")
    bad["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0}
    refused(tenant.ask(bad))
    tenant.make(tenant.promoted())
    answer = tenant.update(bad)
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid"), "the field can't be changed"
    merged = tenant.patch({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": bad["spec"]})
    assert merged.status_code == 422


def test_a_changed_limit_leaves_what_is_served_alone(server: ApiServer, tenant: Tenant) -> None:
    """Its annotations can be changed, as rotation does; its limits only to those of the settings."""
    policy = f"{POLICIES}/{admission.MODEL_SOURCE}"

    def limited(memory: str) -> Body:
        return tenant.changed(
            lambda body: body["spec"]["predictor"]["model"]["resources"]["limits"].update(memory=memory)
        )

    def set_limits(http: httpx.Client, memory: str) -> None:
        document = http.get(policy).json()
        document["spec"] = admission.model_source(BUCKETS, LIMITS | {"memory": memory})
        http.put(policy, json=document).raise_for_status()
        # What passes the policy is refused as a second of its name.
        eventually(lambda: tenant.ask(limited(memory)).status_code == 409)

    tenant.make(limited("1Gi"))
    live = tenant._http.get(f"{tenant.path}/churn").json()
    with server.http() as http:
        try:
            set_limits(http, "2Gi")
            assert "spec.predictor.model.resources" in refused(tenant.ask(limited("1Gi")))
            assert tenant.patch(annotation(live, "0123456789abcdef")).status_code == 200
            assert "spec.predictor.model.resources" in refused(tenant.update(limited("3Gi")))
            assert tenant.update(limited("2Gi")).status_code == 200
        finally:
            set_limits(http, "1Gi")
