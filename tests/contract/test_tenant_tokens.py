"""How long a token of a tenant's account lives, on a real API server that bounds nothing itself."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support import members
from support.apiserver import ApiServer, api_server
from support.platform import outputs
from support.waiting import eventually

from infra import admission
from infra.contract import PlatformOutputs
from infra.names import EDITOR
from infra.rbac import MemberRole
from slipway.core.errors import FailedError, UsageError
from slipway.operations import tokens
from slipway.operations.choices import AccountRole

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]

DAY = 24 * 3600
YEAR = 365 * DAY
NODE = {"Impersonate-User": "system:node:played", "Impersonate-Group": "system:nodes"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("apiserver")) as running, running.http() as http:
        members.token_policy(http)
        made = {
            "metadata": {"name": "nodes"},
            "roleRef": {},
            "subjects": [{"kind": "Group", "name": "system:nodes"}],
        }
        made["roleRef"] = {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:node",
        }
        http.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", json=made).raise_for_status()
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        eventually(lambda: http.get(account, headers=NODE).status_code == 200)
        yield running


@pytest.fixture(scope="module")
def http(server: ApiServer) -> Iterator[httpx.Client]:
    with server.http() as client:
        yield client


@pytest.fixture(scope="module")
def tenant(server: ApiServer, http: httpx.Client) -> str:
    name = members.tenant(server, http)
    eventually(lambda: members.request_token(http, name, EDITOR, expirationSeconds=YEAR).status_code == 403)
    return name


def lives(answer: httpx.Response) -> int:
    """Return how long the token of an answer lives, by what is in it."""
    assert answer.status_code == 201, answer.text
    part = answer.json()["status"]["token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=="))
    return int(claims["exp"] - claims["iat"])


def test_an_editor_gets_no_token_of_a_year(server: ApiServer, http: httpx.Client, tenant: str) -> None:
    with members.member(server, http, tenant, MemberRole.EDITOR) as editor:
        assert lives(members.request_token(editor, tenant, EDITOR)) == 3600
        assert lives(members.request_token(editor, tenant, EDITOR, expirationSeconds=DAY)) == DAY
        for seconds in (DAY + 1, YEAR, 2**32):
            answer = members.request_token(editor, tenant, EDITOR, expirationSeconds=seconds)
            assert (answer.status_code, answer.json()["reason"]) == (403, "Forbidden")
            assert admission.TOKEN_LIFETIME in answer.json()["message"]


def test_whoever_asks_the_bound_holds(http: httpx.Client, tenant: str) -> None:
    assert members.request_token(http, tenant, EDITOR, expirationSeconds=YEAR).status_code == 403
    assert members.request_token(http, tenant, EDITOR, NODE, expirationSeconds=YEAR).status_code == 403


def test_outside_of_tenants_nothing_is_bounded(server: ApiServer, http: httpx.Client) -> None:
    """The control: the server itself would make a token of a year."""
    namespace = server.namespace()
    assert lives(members.request_token(http, namespace, "default", expirationSeconds=YEAR)) == YEAR


def test_a_token_bound_to_a_pod_is_for_the_node(server: ApiServer, http: httpx.Client, tenant: str) -> None:
    """The API server makes a year of 3,607 seconds where a token is bound to a pod."""
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod = {
        "serviceAccountName": EDITOR,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "c", "image": "fine:1", "securityContext": context}],
    }
    made = http.post(f"/api/v1/namespaces/{tenant}/pods", json={"metadata": {"name": "p"}, "spec": pod})
    made.raise_for_status()
    bound = {"expirationSeconds": 3607, "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p"}}
    with members.member(server, http, tenant, MemberRole.EDITOR) as editor:
        answer = members.request_token(editor, tenant, EDITOR, **bound)
        assert (answer.status_code, answer.json()["reason"]) == (403, "Forbidden")
        assert "only a node" in answer.json()["message"]
        assert lives(members.request_token(editor, tenant, EDITOR, expirationSeconds=3607)) == 3607
    assert lives(members.request_token(http, tenant, EDITOR, NODE, **bound)) >= YEAR - 7, "the danger"


# --- the command line ---------------------------------------------------------------------------------------


def stack(server: ApiServer, folder: Path, namespace: str) -> PlatformOutputs:
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(server.kubeconfig)
    known = outputs()
    place = known.tenants["team-a"].model_copy(update={"namespace": namespace})
    return known.model_copy(update={"kubeconfig": str(kubeconfig), "tenants": {"team-a": place}})


def test_the_doctor_knows_a_cluster_that_is_bounded(server: ApiServer, tenant: str, tmp_path: Path) -> None:
    found = tokens.examine(stack(server, tmp_path, tenant))
    assert (found.bounded, found.seconds) == (True, None)
    assert admission.TOKEN_LIFETIME in found.detail


def test_the_doctor_knows_one_that_is_not(server: ApiServer, http: httpx.Client, tmp_path: Path) -> None:
    namespace = server.namespace()
    http.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", json={"metadata": {"name": EDITOR}})
    found = tokens.examine(stack(server, tmp_path, namespace))
    assert (found.bounded, found.seconds) == (False, YEAR)


def test_another_refusal_is_not_taken_for_the_bound(server: ApiServer, tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="404"):
        tokens.examine(stack(server, tmp_path, server.namespace()))
    nobody = stack(server, tmp_path, "x").model_copy(update={"tenants": {}})
    with pytest.raises(UsageError, match="no tenant"):
        tokens.examine(nobody)


@pytest.mark.parametrize("role", ["editor", "viewer"])
def test_a_token_is_made_for_the_role(
    server: ApiServer, tenant: str, tmp_path: Path, role: AccountRole
) -> None:
    known = stack(server, tmp_path, tenant)
    made = tokens.mint(known, "team-a", role, 1800, None)
    assert made.value.get_secret_value() not in repr(made)
    with server.http() as client:
        client.headers["Authorization"] = f"Bearer {made.value.get_secret_value()}"
        path = f"/api/v1/namespaces/{tenant}/secrets/store-editor"
        assert client.get(path).status_code == (200 if role == "editor" else 403)
    elsewhere = tokens.mint(known, "team-a", role, 1800, "pipelines.example.com")
    with server.http() as client:
        client.headers["Authorization"] = f"Bearer {elsewhere.value.get_secret_value()}"
        assert client.get(path).status_code == 401, "it is for another audience"
