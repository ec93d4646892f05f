"""What is asked of a team's cluster before anything is made there, of a real API server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.apiserver import ApiServer, api_server
from support.waiting import eventually

from infra.kubernetes_api import KubernetesApi
from infra.names import OWNER, OWNER_NAMESPACE, PART_OF
from infra.required_rights import Right, required_rights
from infra.settings.models import DevSettings, ImageReferences
from infra.stack import preflight
from infra.stack.check import refuse_cluster
from infra.stack.declared import DeclaredObject
from infra.stack.foreign import refuse_foreign
from infra.stack.live_cluster import LiveCluster
from infra.stack.owner import refuse_other_owner
from infra.stack.preflight import refuse_storage, refuse_unsuitable, storage_classes
from infra.stack.volumes import DesiredClaim
from slipway.core.errors import FailedError, UsageError

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]
RBAC = "/apis/rbac.authorization.k8s.io/v1"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
ANY_CLASS = DesiredClaim(place=("store", "data"), setting="store.size_gib", gib=1)
FAST = DesiredClaim(place=("store", "data"), setting="store.size_gib", gib=1, storage_class="fast")

DEV = {
    "environment": "dev",
    "cluster": {"context": "ml"},
    "kfp": {"kind": "embedded"},
    "images": {name: f"registry.test/{name}@sha256:{'1' * 64}" for name in ImageReferences.model_fields},
    "endpoints": {"kind": "port-forward", "gateway": 18080, "store": 18081, "kfp": 18083},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("apiserver")) as running:
        yield running


@pytest.fixture
def api(server: ApiServer) -> Iterator[KubernetesApi]:
    opened = KubernetesApi.of_content(server.kubeconfig)
    yield opened
    opened.close()


@pytest.fixture
def account(server: ApiServer, cluster: httpx.Client) -> Iterator[tuple[str, KubernetesApi]]:
    """A ServiceAccount without any right, as `NAMESPACE`, and the API as it sees it."""
    namespace = server.namespace()
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    token = cluster.post(path, json={"spec": {"expirationSeconds": 600}}).json()["status"]["token"]
    document = json.loads(server.kubeconfig)
    document["users"][0]["user"] = {"token": token}
    opened = KubernetesApi.of_content(json.dumps(document))
    yield namespace, opened
    opened.close()


def _grant(cluster: httpx.Client, namespace: str, rights: list[Right]) -> None:
    rules = [
        {"apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb]} for right in rights
    ]
    # No right of the list: what the test looks at until the grant is known.
    rules.append({"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]})
    role = {"metadata": {"name": namespace}, "rules": rules}
    cluster.post(f"{RBAC}/clusterroles", json=role).raise_for_status()
    binding = {
        "metadata": {"name": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": namespace},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
    }
    cluster.post(f"{RBAC}/clusterrolebindings", json=binding).raise_for_status()


def _granted(api: KubernetesApi) -> bool:
    """Return whether the API server's authorizer knows the grant yet: it reads roles from a cache."""
    try:
        return api.get("/api/v1/nodes") is not None
    except FailedError:
        return False


def _unsuitable(api: KubernetesApi) -> str:
    with pytest.raises(UsageError) as caught:
        refuse_unsuitable(api)
    return str(caught.value)


def _no_class(api: KubernetesApi, *wanted: DesiredClaim) -> str:
    with pytest.raises(UsageError) as caught:
        refuse_storage(api, wanted)
    return str(caught.value)


def test_an_administrators_cluster_is_suitable(api: KubernetesApi) -> None:
    refuse_unsuitable(api)


def test_exactly_the_required_rights_suffice(
    account: tuple[str, KubernetesApi], cluster: httpx.Client
) -> None:
    namespace, api = account
    _grant(cluster, namespace, [*required_rights()])
    eventually(lambda: _granted(api), 60)
    refuse_unsuitable(api)


def test_each_missing_right_is_named(account: tuple[str, KubernetesApi], cluster: httpx.Client) -> None:
    namespace, api = account
    withheld = {("create", "deployments"), ("escalate", "roles")}
    granted = [each for each in required_rights() if (each.verb, each.resource) not in withheld]
    _grant(cluster, namespace, granted)
    eventually(lambda: _granted(api), 60)
    message = _unsuitable(api)
    assert (
        "The kubeconfig's user may not create deployments.apps, escalate roles.rbac.authorization.k8s.io in "
        "the cluster." in message
    )


def test_many_missing_rights_are_counted(account: tuple[str, KubernetesApi], cluster: httpx.Client) -> None:
    namespace, api = account
    _grant(cluster, namespace, [])
    eventually(lambda: _granted(api), 60)
    assert f" and {len([*required_rights()]) - 6} more in the cluster." in _unsuitable(api)


def test_storage_classes_are_compared(api: KubernetesApi, cluster: httpx.Client) -> None:
    assert "no default StorageClass for volume store/data. Its StorageClasses are: none." in _no_class(
        api, ANY_CLASS
    )
    slow: dict[str, Any] = {"metadata": {"name": "slow"}, "provisioner": "test"}
    cluster.post(CLASSES, json=slow).raise_for_status()
    assert "no StorageClass 'fast' for volume store/data. Its StorageClasses are: slow." in _no_class(
        api, FAST
    )
    assert "no default StorageClass" in (message := _no_class(api, ANY_CLASS))
    assert "set store.storage_class to one of them" in message
    fast = {"metadata": {"name": "fast"}, "provisioner": "test"}
    fast["metadata"]["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
    cluster.post(CLASSES, json=fast).raise_for_status()
    refuse_storage(api, (FAST, ANY_CLASS))
    assert storage_classes(api).default == "fast"
    for name in ("fast", "slow"):
        cluster.delete(f"{CLASSES}/{name}").raise_for_status()


def test_a_user_without_any_right_hears_of_rights_first(account: tuple[str, KubernetesApi]) -> None:
    """The claims and the StorageClasses of this user's cluster can't be read at all."""
    _, api = account
    with pytest.raises(FailedError, match="403"):
        api.get(CLASSES)
    with pytest.raises(UsageError, match="may not get clusterroles"):
        refuse_cluster(DevSettings.model_validate(DEV), "Pulumi.dev.yaml", lambda: LiveCluster(api), str)


def test_other_versions_are_refused(api: KubernetesApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "KUBERNETES_NEWEST", (1, 33))
    message = _unsuitable(api)
    assert "The cluster runs Kubernetes v1.34.4. Slipway supports 1.30 to 1.33" in message
    monkeypatch.setattr(preflight, "KUBERNETES_NEWEST", (1, 34))
    refuse_unsuitable(api)
    monkeypatch.setattr(preflight, "KUBERNETES_OLDEST", (1, 35))
    assert "Slipway supports 1.35 to 1.34" in _unsuitable(api)


def test_a_silent_cluster_is_not_suitable(server: ApiServer, tmp_path: Path) -> None:
    nobody = KubernetesApi.of_content(server.kubeconfig.replace(str(server.port), "1"))
    with pytest.raises(FailedError, match="The cluster does not answer"):
        refuse_unsuitable(nobody)
    stranger = KubernetesApi.of_content(server.kubeconfig.replace(server.token, "0" * 32))
    with pytest.raises(FailedError, match="401"):
        refuse_unsuitable(stranger)


DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


def test_cert_manager_has_to_be_there_and_to_answer(api: KubernetesApi, cluster: httpx.Client) -> None:
    def look() -> None:
        # Another connection for each look: which kinds are served is read once.
        refuse_unsuitable(KubernetesApi(api._client), cert_manager=True)

    with pytest.raises(UsageError, match=r"does not serve Issuer of cert-manager\.io/v1") as caught:
        look()
    assert "cluster.cert_manager to false" in caught.value.fix
    definition = _definition("cert-manager.io", "Issuer", "Namespaced")
    cluster.post(DEFINITIONS, json=definition).raise_for_status()
    eventually(lambda: cluster.get("/apis/cert-manager.io/v1/issuers").status_code == 200)
    look()
    rule = {
        "apiGroups": ["cert-manager.io"],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["issuers"],
    }
    hook = {
        "name": "webhook.cert-manager.io",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 1,
        "clientConfig": {"url": "https://127.0.0.1:1/nobody-listens"},
        "rules": [rule],
    }
    configuration = {"metadata": {"name": "cert-manager"}, "webhooks": [hook]}
    cluster.post(HOOKS, json=configuration).raise_for_status()

    def silent() -> bool:
        try:
            look()
        except UsageError as error:
            return "A trial Issuer is refused" in error.why
        return False

    eventually(silent)
    cluster.delete(f"{HOOKS}/cert-manager").raise_for_status()
    cluster.delete(f"{DEFINITIONS}/issuers.cert-manager.io").raise_for_status()


def test_cert_manager_needs_further_rights() -> None:
    further = {*required_rights(cert_manager=True)} - {*required_rights()}
    assert {str(each) for each in further if each.verb == "create"} == {
        "create certificates.cert-manager.io",
        "create issuers.cert-manager.io",
    }


def _definition(group: str, kind: str, scope: str) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    singular = kind.lower()
    names = {"plural": f"{singular}s", "singular": singular, "kind": kind, "listKind": f"{kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{singular}s.{group}"},
        "spec": {
            "group": group,
            "names": names,
            "scope": scope,
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


@pytest.fixture
def owned(cluster: httpx.Client) -> Iterator[None]:
    """A cluster with the platform of stack `theirs`."""
    namespace = f"/api/v1/namespaces/{OWNER_NAMESPACE}"
    metadata = {"name": OWNER_NAMESPACE, "labels": PART_OF}
    made = cluster.post("/api/v1/namespaces", json={"metadata": metadata})
    assert made.status_code in (201, 409)
    record = {"metadata": {"name": OWNER}, "data": {"stack": "theirs", "identity": "their-identity"}}
    cluster.post(f"{namespace}/configmaps", json=record).raise_for_status()
    yield
    cluster.delete(f"{namespace}/configmaps/{OWNER}").raise_for_status()


def test_the_platform_of_another_stack_is_refused(api: KubernetesApi, owned: None) -> None:
    with pytest.raises(UsageError) as caught:
        refuse_other_owner(api, lambda: "our-identity")
    assert caught.value.what == "The cluster has a platform already, of stack 'theirs'."
    refuse_other_owner(api, lambda: "their-identity")


def test_where_there_is_no_platform_the_identity_is_not_needed(api: KubernetesApi) -> None:
    def asked() -> str:
        raise AssertionError("a run of the Pulumi CLI for nothing")

    refuse_other_owner(api, asked)


def _namespace(name: str) -> DeclaredObject:
    return DeclaredObject(api_version="v1", kind="Namespace", namespace="", name=name, inputs={})


@pytest.mark.parametrize(
    ("name", "tenants", "way"), [("kserve", (), "fixed"), ("team-x", ("team-x",), "name")]
)
def test_a_namespace_of_another_maker_is_refused(
    api: KubernetesApi, cluster: httpx.Client, name: str, tenants: tuple[str, ...], way: str
) -> None:
    def look(made: tuple[DeclaredObject, ...] = ()) -> None:
        refuse_foreign(api, made, tenants=tenants, definitions=())

    look()
    cluster.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
    with pytest.raises(UsageError) as caught:
        look()
    assert caught.value.what == f"The cluster has a namespace {name} already."
    assert way in caught.value.fix
    look((_namespace(name),))
    merge = {"Content-Type": "application/merge-patch+json"}
    labels = {"metadata": {"labels": PART_OF}}
    cluster.patch(f"/api/v1/namespaces/{name}", json=labels, headers=merge).raise_for_status()
    look()


def test_a_definition_of_another_maker_is_refused(api: KubernetesApi, cluster: httpx.Client) -> None:
    body = _definition("preflight.example", "Plum", "Cluster")
    name = body["metadata"]["name"]
    cluster.post(DEFINITIONS, json=body, params={"fieldManager": "helm"}).raise_for_status()
    with pytest.raises(UsageError, match=f"has a CustomResourceDefinition {name} already") as caught:
        refuse_foreign(api, (), tenants=(), definitions=[name])
    assert "helm" in caught.value.why
    ours = DeclaredObject(
        api_version="v1", kind="CustomResourceDefinition", namespace="", name=name, inputs={}
    )
    refuse_foreign(api, (ours,), tenants=(), definitions=[name])
