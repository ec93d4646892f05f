"""Promotion's Kubernetes calls against a real API server that has KServe's own CRDs."""

import json
from pathlib import Path

import pytest
from support import kserve
from support.apiserver import api_server
from support.platform import outputs
from support.waiting import eventually

from serving import access, diagnosis
from serving.cluster import FIELD_MANAGER, Cluster
from serving.inference import ServedVersion, manifest
from slipway.core.errors import FailedError, UsageError

pytestmark = pytest.mark.contract
NAME = "churn"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with api_server(tmp_path_factory.mktemp("api")) as running:
        with running.http() as http:
            content = kserve.definition("inferenceservices")
            http.patch(
                f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{content['metadata']['name']}",
                params={"fieldManager": "test", "force": "true"},
                headers={"Content-Type": "application/apply-patch+yaml"},
                content=json.dumps(content),
            ).raise_for_status()
            path = "/apis/serving.kserve.io/v1beta1/inferenceservices"
            eventually(lambda: http.get(path).status_code == 200)
        yield running


class Place:
    """A namespace, and the part of KServe's controller in it."""

    def __init__(self, server, folder: Path) -> None:
        self.server, self.namespace = server, server.namespace()
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(server.kubeconfig)
        known = outputs()
        tenant = known.tenants["team-a"].model_copy(update={"namespace": self.namespace})
        self.outputs = known.model_copy(update={"kubeconfig": str(kubeconfig), "tenants": {"team-a": tenant}})
        self.cluster = Cluster.of(self.outputs)

    def manifest(self, digit: str) -> dict:
        digest = digit * 64
        uri = f"s3://models/team-a/{NAME}/versions/{digest}/files"
        served = ServedVersion(NAME, digest, uri, 1, "run-1", "b" * 64, "c" * 40, "d" * 64)
        return manifest(self.outputs, "team-a", served)

    def uri(self, digit: str) -> str:
        return str(self.manifest(digit)["spec"]["predictor"]["model"]["storageUri"])

    def reconcile(self, digit: str, *, image: str = "fine:1", ready: bool = True) -> None:
        labels = {"serving.kserve.io/inferenceservice": NAME}
        template = {
            "metadata": {"labels": labels, "annotations": {diagnosis.SOURCE: self.uri(digit)}},
            "spec": {"containers": [{"name": "kserve-container", "image": image}]},
        }
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": f"{NAME}-predictor"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": template,
                "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            },
        }
        isvc = f"/apis/serving.kserve.io/v1beta1/namespaces/{self.namespace}/inferenceservices/{NAME}"
        status = {"conditions": [{"type": "Ready", "status": str(ready), "message": "as played"}]}
        with self.server.http() as http:
            http.patch(
                f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{NAME}-predictor",
                params={"fieldManager": "test", "force": "true"},
                headers={"Content-Type": "application/apply-patch+yaml"},
                json=deployment,
            ).raise_for_status()
            http.patch(
                f"{isvc}/status",
                json={"status": status},
                headers={"Content-Type": "application/merge-patch+json"},
            ).raise_for_status()

    def has_broken_pod(self) -> bool:
        """Whether a pod of the model waits for an image, as the cluster has it."""
        pods = self.cluster.pods(self.namespace, NAME)
        return any("waiting" in each["state"] for pod in pods for each in pod["status"]["containerStatuses"])

    def try_pod(self, http):
        """Ask for a pod, without making it."""
        pod = {"metadata": {"name": "tried"}, "spec": {"containers": [{"name": "main", "image": "fine:1"}]}}
        return http.post(f"/api/v1/namespaces/{self.namespace}/pods", params={"dryRun": "All"}, json=pod)


@pytest.fixture
def place(server, tmp_path):
    return Place(server, tmp_path)


def test_the_manifest_has_only_fields_kserve_knows(place):
    place.cluster.apply(place.manifest("1"))
    live = place.cluster.get(place.namespace, NAME)
    wanted = place.manifest("1")["spec"]["predictor"]
    assert live["spec"]["predictor"].items() >= {k: v for k, v in wanted.items() if k != "model"}.items()
    assert [entry["manager"] for entry in live["metadata"]["managedFields"]] == [FIELD_MANAGER]
    place.cluster.apply(place.manifest("1"))
    assert place.cluster.get(place.namespace, NAME)["metadata"]["generation"] == 1
    place.cluster.apply(place.manifest("2"))
    assert place.cluster.get(place.namespace, NAME)["metadata"]["generation"] == 2


def test_an_unknown_field_is_refused_by_the_server(place):
    wrong = place.manifest("1")
    wrong["spec"]["predictor"]["model"]["storageURI"] = "s3://x"
    with pytest.raises(FailedError, match="storageURI"):
        place.cluster.apply(wrong)
    assert place.cluster.get(place.namespace, NAME) is None


def test_deleting_twice_is_fine(place):
    place.cluster.apply(place.manifest("1"))
    place.cluster.delete(place.namespace, NAME)
    place.cluster.delete(place.namespace, NAME)
    assert place.cluster.get(place.namespace, NAME) is None


def test_a_ready_old_version_does_not_end_the_wait(place):
    place.cluster.apply(place.manifest("1"))
    place.reconcile("1")
    place.cluster.wait_serving(place.namespace, NAME, place.uri("1"))
    place.cluster.apply(place.manifest("2"))
    with pytest.raises(FailedError, match="is not ready after 2 s"):
        place.cluster.wait_serving(place.namespace, NAME, place.uri("2"), timeout=2)
    place.reconcile("2")
    place.cluster.wait_serving(place.namespace, NAME, place.uri("2"))


def test_a_pod_that_cannot_start_is_the_cause(place):
    place.cluster.apply(place.manifest("1"))
    place.reconcile("1", image="broken:1", ready=False)
    eventually(place.has_broken_pod)
    lines: list[str] = []
    with pytest.raises(FailedError, match=r"ImagePullBackOff: no such image: broken:1.*as played"):
        place.cluster.wait_serving(place.namespace, NAME, place.uri("1"), report=lines.append, timeout=1)
    assert any("ImagePullBackOff" in line for line in lines)


def quota(http, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/resourcequotas"
    body = {"metadata": {"name": "tenant"}, "spec": {"hard": {"pods": "0"}}}
    http.post(url, json=body).raise_for_status()


def admission(http, namespace: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    http.patch(
        f"/api/v1/namespaces/{namespace}",
        json={"metadata": {"labels": labels}},
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()


@pytest.mark.parametrize(
    ("refuse", "reason"), [(quota, "exceeded quota: tenant"), (admission, "violates PodSecurity")]
)
def test_a_pod_that_cannot_be_created_ends_the_wait(place, refuse, reason):
    with place.server.http() as http:
        refuse(http, place.namespace)
        # The API server reads quotas and namespaces from a cache, so at first it may still take a pod.
        eventually(lambda: reason in place.try_pod(http).text)
    place.cluster.apply(place.manifest("1"))
    place.reconcile("1", ready=False)
    lines: list[str] = []
    with pytest.raises(FailedError, match=f"can't become ready.*{reason}") as failed:
        place.cluster.wait_serving(place.namespace, NAME, place.uri("1"), report=lines.append)
    assert str(failed.value).count(reason) == 1
    assert [line for line in lines if "can't be created" in line and reason in line] == lines[-1:]


def test_an_unreachable_log_is_done_without(place):
    assert place.cluster._log_ends(place.namespace, {("gone", "kserve-container"): True}) == {}


def test_a_service_deleted_meanwhile_is_said_to_be(place):
    with pytest.raises(FailedError, match="was deleted meanwhile"):
        place.cluster.wait_serving(place.namespace, NAME, place.uri("1"), timeout=2)


def test_the_store_key_is_read_from_the_secret_and_never_shown(place, server):
    canary = "canary-4f1d0c2b9a"
    with server.http() as http:
        http.post(
            f"/api/v1/namespaces/{place.namespace}/secrets",
            json={
                "metadata": {"name": "store-promoter"},
                "stringData": {"AWS_ACCESS_KEY_ID": "team-a-promoter-1", "AWS_SECRET_ACCESS_KEY": canary},
            },
        ).raise_for_status()
    assert place.cluster.read_secret(place.namespace, "store-promoter")["AWS_SECRET_ACCESS_KEY"] == canary
    store = access.open_store(place.outputs, "team-a", "promoter")
    with pytest.raises(FailedError) as failed, access_errors():
        store.list_objects_v2(Bucket="models")
    assert canary not in str(failed.value)
    with pytest.raises(FailedError, match="404"):
        access.open_store(place.outputs, "team-a", "editor")


def access_errors():
    from storage.client import translated_errors

    return translated_errors("list")


def test_a_cluster_that_is_down_or_unknown_is_said_to_be(place, tmp_path):
    gone = tmp_path / "gone"
    gone.write_text(place.server.kubeconfig.replace(f":{place.server.port}", ":9"))
    with pytest.raises(FailedError, match="slipway status"):
        Cluster.of(place.outputs.model_copy(update={"kubeconfig": str(gone)})).get(place.namespace, NAME)
    with pytest.raises(UsageError, match="no usable kubeconfig"):
        Cluster.of(place.outputs.model_copy(update={"kubeconfig": str(tmp_path / "none")}))
