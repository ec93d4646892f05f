"""What a member of a tenant can't do, by real tokens on a real API server: become another, reach another."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from support import kserve, members
from support.apiserver import api_server

from infra.rbac import MemberRole

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]

RBAC = "/apis/rbac.authorization.k8s.io/v1"
SERVING = "/apis/serving.kserve.io"
POD = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "fine:1"}]}}
CSR = {
    "metadata": {"name": "x"},
    "spec": {
        "request": "",
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
    },
}
MERGE = {"Content-Type": "application/merge-patch+json"}


@dataclass
class World:
    """Two tenants, the members of the first, and the administrator."""

    own: str
    other: str
    admin: httpx.Client
    of: dict[MemberRole, httpx.Client]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with api_server(tmp_path_factory.mktemp("apiserver")) as server, server.http() as http:
        kserve.definitions(http)
        members.token_policy(http)
        own, other = members.tenant(server, http), members.tenant(server, http)
        for namespace in (own, other):
            http.post(
                f"/api/v1/namespaces/{namespace}/pods",
                json={"metadata": {"name": "there"}, "spec": restricted()},
            ).raise_for_status()
        clients = {role: members.member(server, http, own, role) for role in MemberRole}
        yield World(own, other, http, clients)
        for client in clients.values():
            client.close()


def restricted() -> dict[str, Any]:
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "automountServiceAccountToken": False,
        "securityContext": pod,
        "containers": [{"name": "c", "image": "fine:1", "securityContext": context}],
    }


def attempts(namespace: str) -> dict[str, tuple[str, str, Any]]:
    """Return what nobody may do in a namespace, by what it would be."""
    core, apps = f"/api/v1/namespaces/{namespace}", f"/apis/apps/v1/namespaces/{namespace}"
    serving = f"{SERVING}/v1alpha1/namespaces/{namespace}"
    named = {"metadata": {"name": "x"}}
    found: dict[str, tuple[str, str, Any]] = {
        "make a pod": ("POST", f"{core}/pods", POD),
        "delete a pod": ("DELETE", f"{core}/pods/there", None),
        "evict a pod": ("POST", f"{core}/pods/there/eviction", named),
        "run in a pod": ("POST", f"{core}/pods/there/exec?command=true", None),
        "run in a pod by GET": ("GET", f"{core}/pods/there/exec?command=true", None),
        "attach to a pod": ("GET", f"{core}/pods/there/attach", None),
        "forward a port": ("GET", f"{core}/pods/there/portforward", None),
        "reach a pod by proxy": ("GET", f"{core}/pods/there/proxy/", None),
        "reach a service by proxy": ("GET", f"{core}/services/x/proxy/", None),
        "add a debug container": ("PATCH", f"{core}/pods/there/ephemeralcontainers", {}),
        "list Secrets": ("GET", f"{core}/secrets", None),
        "watch Secrets": ("GET", f"{core}/secrets?watch=1&timeoutSeconds=1", None),
        "make a Secret": ("POST", f"{core}/secrets", named),
        "make an account": ("POST", f"{core}/serviceaccounts", named),
        "change an account": ("PATCH", f"{core}/serviceaccounts/default-editor", {}),
        "change a ConfigMap": ("PATCH", f"{core}/configmaps/kfp-launcher", {}),
        "lift the quota": ("DELETE", f"{core}/resourcequotas/quota", None),
        "lift the limits": ("DELETE", f"{core}/limitranges/defaults", None),
        "relabel the namespace": ("PATCH", f"/api/v1/namespaces/{namespace}", {}),
        "delete the namespace": ("DELETE", f"/api/v1/namespaces/{namespace}", None),
        "make a Role": ("POST", f"{RBAC}/namespaces/{namespace}/roles", {**named, "rules": []}),
        "change a Role": ("PATCH", f"{RBAC}/namespaces/{namespace}/roles/slipway-viewer", {}),
        "make a ServingRuntime": ("POST", f"{serving}/servingruntimes", named),
        "make a TrainedModel": ("POST", f"{serving}/trainedmodels", named),
        "make an InferenceGraph": ("POST", f"{serving}/inferencegraphs", named),
        "change a status": (
            "PATCH",
            f"{SERVING}/v1beta1/namespaces/{namespace}/inferenceservices/x/status",
            {},
        ),
        "open the network": (
            "DELETE",
            f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/default-deny",
            None,
        ),
    }
    for kind in ("deployments", "statefulsets", "daemonsets", "replicasets"):
        found[f"make {kind}"] = ("POST", f"{apps}/{kind}", named)
    for kind in ("jobs", "cronjobs"):
        found[f"make {kind}"] = ("POST", f"/apis/batch/v1/namespaces/{namespace}/{kind}", named)
    for account in ("pipeline-runner", "model-server", "default-viewer", "default", "member-admin"):
        found[f"a token of {account}"] = ("POST", f"{core}/serviceaccounts/{account}/token", {"spec": {}})
    for secret in ("store-runner", "store-server", "storage-config"):
        found[f"read {secret}"] = ("GET", f"{core}/secrets/{secret}", None)
    return found


def of_the_cluster() -> dict[str, tuple[str, str, Any]]:
    admission = "/apis/admissionregistration.k8s.io/v1"
    named = {"metadata": {"name": "x"}}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    return {
        "ask for a client certificate": (
            "POST",
            "/apis/certificates.k8s.io/v1/certificatesigningrequests",
            CSR,
        ),
        "bind cluster-admin": ("POST", f"{RBAC}/clusterrolebindings", {**named, "roleRef": role}),
        "make a ClusterRole": ("POST", f"{RBAC}/clusterroles", {**named, "rules": []}),
        "list namespaces": ("GET", "/api/v1/namespaces", None),
        "list all Secrets": ("GET", "/api/v1/secrets", None),
        "list all pods": ("GET", "/api/v1/pods", None),
        "read a node": ("GET", "/api/v1/nodes", None),
        "reach a node by proxy": ("GET", "/api/v1/nodes/played/proxy/pods", None),
        "lift a policy": (
            "DELETE",
            f"{admission}/validatingadmissionpolicybindings/slipway-model-source",
            None,
        ),
        "change a webhook": ("POST", f"{admission}/mutatingwebhookconfigurations", named),
        "make a ClusterServingRuntime": ("POST", f"{SERVING}/v1alpha1/clusterservingruntimes", named),
        "make a ClusterStorageContainer": ("POST", f"{SERVING}/v1alpha1/clusterstoragecontainers", named),
        "change a definition": (
            "PATCH",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/inferenceservices.serving.kserve.io",
            {},
        ),
        "review tokens": ("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "x"}}),
    }


def ask(http: httpx.Client, method: str, path: str, body: Any, **headers: str) -> httpx.Response:
    kind = MERGE if method == "PATCH" else {}
    sent = headers | kind
    return (
        http.request(method, path, json=body, headers=sent)
        if body is not None
        else http.request(method, path, headers=sent)
    )


def passed(http: httpx.Client, tried: dict[str, tuple[str, str, Any]]) -> dict[str, str]:
    """Return what was not refused with 403."""
    answers = {what: ask(http, *attempt) for what, attempt in tried.items()}
    return {
        what: f"{answer.status_code} {answer.text[:200]}"
        for what, answer in answers.items()
        if answer.status_code != 403 or answer.json()["reason"] != "Forbidden"
    }


@pytest.mark.parametrize("role", MemberRole)
def test_nobody_becomes_more_in_their_own_namespace(world: World, role: MemberRole) -> None:
    assert passed(world.of[role], attempts(world.own)) == {}


@pytest.mark.parametrize("role", MemberRole)
def test_nobody_reaches_another_tenant_or_the_system(world: World, role: MemberRole) -> None:
    for namespace in (world.other, "kube-system", "kserve"):
        tried = attempts(namespace)
        core = f"/api/v1/namespaces/{namespace}"
        for kind in ("pods", "configmaps", "services", "serviceaccounts", "events"):
            tried[f"list {kind}"] = ("GET", f"{core}/{kind}", None)
        tried["read a log"] = ("GET", f"{core}/pods/there/log", None)
        tried["a token of the editor"] = (
            "POST",
            f"{core}/serviceaccounts/default-editor/token",
            {"spec": {}},
        )
        tried["read store-editor"] = ("GET", f"{core}/secrets/store-editor", None)
        tried["list models"] = (
            "GET",
            f"{SERVING}/v1beta1/namespaces/{namespace}/inferenceservices",
            None,
        )
        assert passed(world.of[role], tried) == {}, namespace


@pytest.mark.parametrize("role", MemberRole)
def test_nobody_has_a_right_on_the_cluster(world: World, role: MemberRole) -> None:
    assert passed(world.of[role], of_the_cluster()) == {}


@pytest.mark.parametrize("role", MemberRole)
@pytest.mark.parametrize(
    "headers",
    [
        {"Impersonate-User": "admin"},
        {"Impersonate-User": "admin", "Impersonate-Group": "system:masters"},
        {"Impersonate-User": "system:serviceaccount:test-0:pipeline-runner"},
    ],
)
def test_nobody_impersonates(world: World, role: MemberRole, headers: dict[str, str]) -> None:
    answer = ask(world.of[role], "GET", f"/api/v1/namespaces/{world.own}/pods", None, **headers)
    assert (answer.status_code, answer.json()["reason"]) == (403, "Forbidden")
    assert "cannot impersonate" in answer.json()["message"]


@pytest.mark.parametrize("role", MemberRole)
def test_what_the_role_is_for_is_allowed(world: World, role: MemberRole) -> None:
    """The controls: the same kinds of requests pass where the role has the right."""
    core = f"/api/v1/namespaces/{world.own}"
    http = world.of[role]
    assert ask(http, "GET", f"{core}/pods", None).status_code == 200
    expected = {
        "store-editor": 200 if role in (MemberRole.EDITOR, MemberRole.ADMIN) else 403,
        "store-promoter": 200 if role in (MemberRole.PROMOTER, MemberRole.ADMIN) else 403,
        "store-collector": 200 if role is MemberRole.ADMIN else 403,
    }
    assert {
        name: ask(http, "GET", f"{core}/secrets/{name}", None).status_code for name in expected
    } == expected
    token = ask(http, "POST", f"{core}/serviceaccounts/default-editor/token", {"spec": {}})
    assert token.status_code == (201 if role in (MemberRole.EDITOR, MemberRole.ADMIN) else 403)
    isvc = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "x"},
        "spec": {"predictor": {}},
    }
    path = f"{SERVING}/v1beta1/namespaces/{world.own}/inferenceservices?dryRun=All"
    assert ask(http, "POST", path, isvc).status_code == (
        201 if role in (MemberRole.PROMOTER, MemberRole.ADMIN) else 403
    )


def test_the_administrator_may_all_of_it(world: World) -> None:
    """The control of the attempts themselves: none of them is refused for its own sake."""
    tried = {**attempts(world.own), **of_the_cluster()}
    harmless = {
        what: (method, f"{path}{'&' if '?' in path else '?'}dryRun=All", body)
        for what, (method, path, body) in tried.items()
        if not any(word in path for word in ("exec", "attach", "portforward", "proxy", "dryRun"))
    }
    refusals = {
        what: answer.text[:200]
        for what, attempt in harmless.items()
        if (answer := ask(world.admin, *attempt)).status_code in (401, 403)
        and "PodSecurity" not in answer.text
    }
    assert refusals == {}


@pytest.mark.parametrize("role", [MemberRole.EDITOR, MemberRole.VIEWER, MemberRole.PROMOTER])
def test_only_an_admin_says_who_is_a_member(world: World, role: MemberRole) -> None:
    path = f"{RBAC}/namespaces/{world.own}/rolebindings"
    body = members.binding("x", "Role/slipway-viewer", "default", namespace=world.own)
    assert ask(world.of[role], "POST", path, body).status_code == 403
    assert ask(world.of[role], "PATCH", f"{path}/slipway-admin", body).status_code == 403


def test_an_admin_gives_no_more_than_an_admin_has(world: World) -> None:
    http, path = world.of[MemberRole.ADMIN], f"{RBAC}/namespaces/{world.own}/rolebindings"
    mine = members.binding("mine", "Role/slipway-viewer", "default", namespace=world.own)
    assert ask(http, "POST", path, mine).status_code == 201, "the control"
    for held in (
        "ClusterRole/cluster-admin",
        "ClusterRole/edit",
        "ClusterRole/admin",
        "Role/slipway-pipelines-api",
    ):
        body = members.binding("more", held, "member-admin", namespace=world.own)
        answer = ask(http, "POST", path, body)
        assert answer.status_code == 403, held
        assert "attempting to grant RBAC permissions not currently held" in answer.json()["message"]
    body = members.binding("slipway-pipelines-api", "x/x", "member-admin", namespace=world.own)
    answer = ask(http, "PATCH", f"{path}/slipway-pipelines-api", {"subjects": body["subjects"]})
    assert answer.status_code == 403
    elsewhere = f"{RBAC}/namespaces/{world.other}/rolebindings"
    assert ask(http, "POST", elsewhere, mine).status_code == 403
