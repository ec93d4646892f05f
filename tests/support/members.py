"""A tenant's namespace with its roles on an API server of the tests, and its members with real tokens."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import httpx
from support.apiserver import ApiServer, may
from support.waiting import eventually

from infra import admission, rbac
from infra.names import EDITOR, RUNNER, SERVER, VIEWER
from infra.serving_form import TENANT

_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
MEMBER = "member"


def token_policy(http: httpx.Client) -> None:
    """Put the policy on the lifetime of tokens in force, as the program does."""
    name = {"name": admission.TOKEN_LIFETIME}
    policy = {"metadata": name, "spec": admission.token_lifetime()}
    http.post(f"{_ADMISSION}/validatingadmissionpolicies", json=policy).raise_for_status()
    spec = {"policyName": admission.TOKEN_LIFETIME, "validationActions": ["Deny"]}
    binding = {"metadata": name, "spec": spec}
    http.post(f"{_ADMISSION}/validatingadmissionpolicybindings", json=binding).raise_for_status()


def tenant(server: ApiServer, http: httpx.Client) -> str:
    """Make the namespace of a tenant: its label, accounts, Secrets, roles and one member of each role.

    The roles are in force when it returns.
    """
    name = server.namespace()
    labels = {TENANT: name, "pod-security.kubernetes.io/enforce": "restricted"}
    http.patch(
        f"/api/v1/namespaces/{name}",
        json={"metadata": {"labels": labels}},
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()
    core = f"/api/v1/namespaces/{name}"
    for account in (EDITOR, VIEWER, RUNNER, SERVER, *(f"{MEMBER}-{role}" for role in rbac.MemberRole)):
        body = {"metadata": {"name": account}, "automountServiceAccountToken": False}
        http.post(f"{core}/serviceaccounts", json=body).raise_for_status()
    for secret in ("runner", "server", "editor", "promoter", "collector"):
        body = {"metadata": {"name": f"store-{secret}"}, "stringData": {"k": "a harmless value"}}
        http.post(f"{core}/secrets", json=body).raise_for_status()
    for role in rbac.MemberRole:
        subjects = [
            f"{MEMBER}-{role}",
            *({rbac.MemberRole.EDITOR: [EDITOR], rbac.MemberRole.VIEWER: [VIEWER]}.get(role, [])),
        ]
        _grant(http, name, f"slipway-{role}", rbac.rules(role), subjects)
    _grant(http, name, "slipway-pipelines-api", rbac.KFP_SERVER, [])
    return name


def _grant(
    http: httpx.Client, namespace: str, name: str, rules: tuple[rbac.Rule, ...], accounts: list[str]
) -> None:
    base = f"/apis/{_RBAC}/v1/namespaces/{namespace}"
    listed = [
        {
            "apiGroups": [*rule.groups],
            "resources": [*rule.resources],
            "verbs": [*rule.verbs],
            **({"resourceNames": [*rule.names]} if rule.names else {}),
        }
        for rule in rules
    ]
    http.post(f"{base}/roles", json={"metadata": {"name": name}, "rules": listed}).raise_for_status()
    body = binding(name, f"Role/{name}", *accounts, namespace=namespace)
    http.post(f"{base}/rolebindings", json=body).raise_for_status()
    rule = rules[0]
    one = {"name": rule.names[0]} if rule.names else {}
    for account in accounts:
        ask = partial(may, http, namespace, account, rule.verbs[0], rule.resources[0], group=rule.groups[0])
        eventually(partial(ask, **one))


def binding(name: str, role: str, *accounts: str, namespace: str) -> dict[str, Any]:
    """Return a RoleBinding of accounts to a `Role/name` or `ClusterRole/name`."""
    kind, _, held = role.partition("/")
    return {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": held},
        "subjects": [
            {"kind": "ServiceAccount", "name": account, "namespace": namespace} for account in accounts
        ],
    }


def request_token(
    http: httpx.Client, namespace: str, account: str, headers: Mapping[str, str] | None = None, **spec: Any
) -> httpx.Response:
    """Ask for a token."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    return http.post(path, json={"spec": {"audiences": [], **spec}}, headers=headers)


def member(server: ApiServer, http: httpx.Client, namespace: str, role: rbac.MemberRole) -> httpx.Client:
    """Return a client with the real token of the tenant's member of a role."""
    answer = request_token(http, namespace, f"{MEMBER}-{role}")
    answer.raise_for_status()
    client = server.http()
    client.headers["Authorization"] = f"Bearer {answer.json()['status']['token']}"
    return client
