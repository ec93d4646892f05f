"""What a stack's cluster has now, compared with what its settings want and its state remembers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from support.apiserver import ApiServer
from support.recorded_platform import IMAGES
from support.waiting import eventually

from infra.kubernetes_api import KubernetesApi
from infra.settings.models import DevSettings, LocalSettings
from infra.stack.check import can_grow, live_claims, open_live, refuse_cluster, refuse_settings
from infra.stack.declared import DeclaredObject
from infra.stack.live_cluster import LiveCluster
from infra.stack.volumes import GIB, ExistingClaim, wanted_claims
from slipway.core.errors import FailedError, UsageError

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
CLAIM = "/api/v1/namespaces/kubeflow/persistentvolumeclaims/ml-pipeline-data"


@pytest.fixture
def live(server: ApiServer, tmp_path: Path) -> LiveCluster:
    (tmp_path / "kubeconfig").write_text(server.kubeconfig)
    return LiveCluster.open(tmp_path / "kubeconfig", "test")


def declared(version: str, kind: str, place: str) -> DeclaredObject:
    namespace, _, name = place.rpartition("/")
    return DeclaredObject(api_version=version, kind=kind, namespace=namespace, name=name, inputs={})


def make(cluster: httpx.Client, path: str, manifest: dict[str, Any]) -> None:
    cluster.post(path, json=manifest).raise_for_status()


# --- what is missing


def test_what_was_deleted_by_hand_is_missing(server, cluster, live):
    namespace = server.namespace()
    policies = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    for name in ("allow-dns", "default-deny"):
        spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
        make(cluster, policies, {"metadata": {"name": name}, "spec": spec})
    objects = [
        declared("v1", "Namespace", namespace),
        declared("networking.k8s.io/v1", "NetworkPolicy", f"{namespace}/allow-dns"),
        declared("networking.k8s.io/v1", "NetworkPolicy", f"{namespace}/default-deny"),
    ]
    assert live.missing(objects) == []
    cluster.delete(f"{policies}/allow-dns").raise_for_status()
    assert [str(each) for each in live.missing(objects)] == [f"NetworkPolicy {namespace}/allow-dns"]


def test_the_same_name_elsewhere_is_no_substitute(server, cluster, live):
    there, other = server.namespace(), server.namespace()
    make(cluster, f"/api/v1/namespaces/{there}/configmaps", {"metadata": {"name": "desired"}})
    objects = [
        declared("v1", "ConfigMap", f"{there}/desired"),
        declared("v1", "ConfigMap", f"{other}/desired"),
    ]
    assert live.missing(objects) == objects[1:]


def test_objects_whose_kind_is_gone_are_missing(live):
    served = declared("serving.kserve.io/v1alpha1", "ClusterServingRuntime", "slipway-mlserver")
    assert live.missing([served]) == [served]


def test_lists_longer_than_a_page_are_read_to_their_end(server, cluster, live):
    namespace = server.namespace()
    for number in range(520):
        make(cluster, f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": f"m-{number:04}"}})
    every = [declared("v1", "ConfigMap", f"{namespace}/m-{number:04}") for number in range(521)]
    assert live.missing(every) == every[-1:]


def test_no_secrets_value_is_asked_for(server, cluster, live, monkeypatch):
    namespace = server.namespace()
    secret = {"metadata": {"name": "key"}, "stringData": {"k": "a-value-to-look-for"}}
    make(cluster, f"/api/v1/namespaces/{namespace}/secrets", secret)
    pages = []
    get = KubernetesApi.get
    monkeypatch.setattr(KubernetesApi, "get", lambda *a: pages.append(get(*a)) or pages[-1])
    assert live.missing([declared("v1", "Secret", f"{namespace}/key")]) == []
    ours = {"name": "key", "namespace": namespace}.items()
    [listed] = [each for page in pages for each in page.get("items", ()) if ours <= each["metadata"].items()]
    assert "data" not in listed


def test_a_refusing_or_silent_cluster_is_not_taken_for_empty(server, live, tmp_path):
    nobody = server.kubeconfig.replace(server.token, "0" * 32)
    (tmp_path / "nobody").write_text(nobody)
    with pytest.raises(FailedError, match=r"refused a request.*401"):
        LiveCluster.open(tmp_path / "nobody").missing([declared("v1", "Namespace", "default")])
    (tmp_path / "down").write_text(server.kubeconfig.replace(str(server.port), "1"))
    with pytest.raises(FailedError, match="does not answer"):
        LiveCluster.open(tmp_path / "down").missing([declared("v1", "Namespace", "default")])
    with pytest.raises(UsageError, match="can't be reached by kubeconfig"):
        LiveCluster.open(tmp_path / "kubeconfig", "another-context")
    assert live.missing([declared("v1", "Namespace", "default")]) == [], "the control"


# --- sizes of volumes


@pytest.fixture
def claim(server: ApiServer, cluster: httpx.Client) -> Iterator[str]:
    """A bound claim of 2 GiB, as an `up` makes it; yields its StorageClass, which can't grow."""
    name = f"class-{server.namespace()}"
    make(cluster, CLASSES, {"metadata": {"name": name}, "provisioner": "test.example/none"})
    cluster.post("/api/v1/namespaces", json={"metadata": {"name": "kubeflow"}})
    volume = {
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "2Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": name,
            "hostPath": {"path": "/nowhere"},
        },
    }
    make(cluster, "/api/v1/persistentvolumes", volume)
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": name,
        "volumeName": name,
        "resources": {"requests": {"storage": "2Gi"}},
    }
    make(cluster, CLAIM.rpartition("/")[0], {"metadata": {"name": "ml-pipeline-data"}, "spec": spec})
    status = {"phase": "Bound", "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"]}
    patched = cluster.patch(
        f"{CLAIM}/status",
        json={"status": status},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    patched.raise_for_status()
    yield name
    cluster.delete(CLAIM)
    # In this order: on a claim that is not being deleted, a finalizer that was taken away comes back.
    cluster.patch(
        CLAIM,
        json={"metadata": {"finalizers": None}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    eventually(lambda: cluster.get(CLAIM).status_code == 404)
    cluster.delete(f"/api/v1/persistentvolumes/{name}")


def ask_for(cluster: httpx.Client, size: str) -> httpx.Response:
    return cluster.patch(
        CLAIM,
        json={"spec": {"resources": {"requests": {"storage": size}}}},
        headers={"Content-Type": "application/merge-patch+json"},
    )


def allow(cluster: httpx.Client, storage_class: str) -> None:
    cluster.patch(
        f"{CLASSES}/{storage_class}",
        json={"allowVolumeExpansion": True},
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()


def test_the_api_server_refuses_the_same_sizes(claim, cluster, live):
    """The premise: these are the two refusals that an `up` would meet half-way."""
    wanted = wanted_claims(LocalSettings(environment="local"))
    assert live_claims(live, wanted) == {
        ("kubeflow", "ml-pipeline-data"): ExistingClaim(
            requested=2 * GIB, capacity=2 * GIB, storage_class=claim
        )
    }
    assert not can_grow(live, claim)
    assert ask_for(cluster, "4Gi").status_code == 403
    assert ask_for(cluster, "1Gi").status_code in (403, 422)
    allow(cluster, claim)
    assert can_grow(live, claim)
    # The control. Admission reads StorageClasses from a cache, which may still hold the class as it was.
    eventually(lambda: ask_for(cluster, "4Gi").status_code == 200)
    assert ask_for(cluster, "1Gi").status_code == 422


def test_a_class_that_is_gone_can_grow_nothing(claim, cluster, live):
    allow(cluster, claim)
    assert can_grow(live, claim)
    cluster.delete(f"{CLASSES}/{claim}").raise_for_status()
    assert not can_grow(live, claim)
    assert not can_grow(live, None)


SETTINGS = """
config:
  slipway:platform:
    environment: {environment}
    kfp: {{kind: embedded, size_gib: {size}}}
{rest}  slipway:secret: {{secure: 'v1:abc:def'}}
"""
DEV = f"""\
    cluster: {{context: test}}
    images:
{"".join(f"      {name}: registry.test/{name}@sha256:{'1' * 64}" + chr(10) for name in IMAGES)}\
    endpoints: {{kind: urls, gateway: http://a, store: http://b, kfp: http://d}}
"""
EXPORTED: dict[str, Any] = {
    "deployment": {
        "resources": [
            {
                "type": "kubernetes:core/v1:PersistentVolumeClaim",
                "custom": True,
                "id": "kubeflow/ml-pipeline-data",
                "inputs": {"spec": {"resources": {"requests": {"storage": "2Gi"}}}},
            },
            {"type": "kubernetes:core/v1:Namespace", "custom": True, "id": "kubeflow"},
        ]
    }
}


@pytest.fixture(autouse=True)
def default_class(cluster: httpx.Client) -> None:
    """Make the StorageClass of the claims that are not there, which a team's cluster must have."""
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    metadata = {"name": "default", "annotations": annotations}
    made = cluster.post(CLASSES, json={"metadata": metadata, "provisioner": "test.example/none"})
    assert made.status_code in (201, 409)


@pytest.fixture(params=["local", "dev"])
def check(request, tmp_path, live):
    """Compare a size with the stack's state and cluster, as `up` and `preview` do."""
    path = tmp_path / "Pulumi.test.yaml"
    (tmp_path / "tenants").mkdir()

    def run(size: int, opened=lambda: live, *, look: bool = False) -> None:
        rest = DEV if request.param == "dev" else ""
        path.write_text(SETTINGS.format(environment=request.param, size=size, rest=rest))
        refuse_settings(path, EXPORTED, opened, not_asked, look=look)

    run.environment = request.param
    return run


def not_asked() -> Any:
    raise AssertionError("the cluster was asked")


def test_a_volume_that_cannot_grow_is_refused_by_name(check, claim, cluster):
    with pytest.raises(UsageError) as caught:
        check(4)
    assert caught.value.what == (
        "Pulumi.test.yaml: kfp.size_gib: volume kubeflow/ml-pipeline-data can't grow from 2 to 4 GiB."
    )
    assert claim in caught.value.why
    way = "slipway local start" if check.environment == "local" else "allowVolumeExpansion: true"
    assert way in caught.value.fix
    allow(cluster, claim)
    check(4)


def test_a_volume_that_is_to_shrink_is_refused_by_name(check, claim):
    with pytest.raises(UsageError, match="can't shrink from 2 to 1 GiB"):
        check(1)
    check(2)


def test_where_nothing_differs_only_a_teams_cluster_is_asked(check):
    if check.environment == "dev":
        with pytest.raises(AssertionError, match="the cluster was asked"):
            check(2, not_asked)
    else:
        check(2, not_asked)


def test_a_refresh_asks_for_what_the_state_does_not_know(check, claim, cluster):
    allow(cluster, claim)
    # Admission reads StorageClasses from a cache, which may still hold the class as it was.
    eventually(lambda: ask_for(cluster, "6Gi").status_code == 200)
    if check.environment == "local":
        check(2)
    with pytest.raises(UsageError, match="can't shrink from 6 to 2 GiB"):
        check(2, look=check.environment == "local")


def test_a_local_cluster_that_is_down_is_judged_by_its_state(check, live, tmp_path):
    down = LiveCluster.open
    nowhere = tmp_path / "nowhere"

    def opened() -> LiveCluster:
        return down(nowhere)

    if check.environment == "dev":
        with pytest.raises(UsageError, match="can't be reached"):
            check(4, opened)
        return
    check(4, opened)
    with pytest.raises(UsageError, match="can't shrink from 2 to 1 GiB"):
        check(1, opened)


def test_the_program_itself_refuses_on_a_teams_cluster(claim, cluster, server, tmp_path):
    """What a literal `pulumi up` runs."""
    (tmp_path / "kubeconfig").write_text(server.kubeconfig)
    document = yaml.safe_load(SETTINGS.format(environment="dev", size=4, rest=DEV))
    said = document["config"]["slipway:platform"]
    said["cluster"]["kubeconfig"] = str(tmp_path / "kubeconfig")
    platform = DevSettings.model_validate(said)
    with pytest.raises(UsageError, match="can't grow from 2 to 4 GiB"):
        refuse_cluster(platform, "Pulumi.dev.yaml", lambda: open_live(platform, {}), not_asked)
    allow(cluster, claim)
    refuse_cluster(platform, "Pulumi.dev.yaml", lambda: open_live(platform, {}), not_asked)
