"""The certificate Job against a real API server: issue, rerun, renewal, another manager's apply, RBAC."""

import base64
import json
import ssl
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.apiserver import ApiServer, may
from support.waiting import eventually

from infra.jobs import webhook_certificates as job

pytestmark = pytest.mark.contract

SERVICE, SECRET = "hook-service", "hook-cert"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


class World:
    """A namespace with two webhook configurations, applied the way the program applies them."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.server = server
        self.namespace = server.namespace()
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(server.kubeconfig)
        self.names = {"mutating": f"m-{self.namespace}", "validating": f"v-{self.namespace}"}
        for kind in self.names:
            self.apply(kind)

    def path(self, kind: str) -> str:
        return f"{ADMISSION}/{kind}webhookconfigurations/{self.names[kind]}"

    def apply(self, kind: str, timeout: int = 10) -> None:
        hooks = [
            {
                "name": f"{part}.slipway.dev",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "timeoutSeconds": timeout,
                "clientConfig": {
                    "service": {"name": SERVICE, "namespace": self.namespace, "path": f"/{part}"}
                },
                "rules": [
                    {
                        "apiGroups": ["example.com"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["nothings"],
                    }
                ],
            }
            for part in ("one", "two")
        ]
        body = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": f"{kind.title()}WebhookConfiguration",
            "metadata": {"name": self.names[kind]},
            "webhooks": hooks,
        }
        self.call("PATCH", f"{self.path(kind)}?fieldManager=pulumi", body)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        patch = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        with self.server.http() as http:
            answer = http.request(
                method, path, content=json.dumps(body) if body else None, headers={"Content-Type": patch}
            )
        answer.raise_for_status()
        return answer.json()

    def secret(self) -> dict[str, str]:
        found = self.call("GET", f"/api/v1/namespaces/{self.namespace}/secrets/{SECRET}")
        assert found["type"] == "kubernetes.io/tls"
        data: dict[str, str] = found["data"]
        return data

    def bundles(self) -> set[str | None]:
        return {
            hook["clientConfig"].get("caBundle")
            for kind in self.names
            for hook in self.call("GET", self.path(kind))["webhooks"]
        }

    def request(self) -> job.CertificateRequest:
        return job.CertificateRequest(
            namespace=self.namespace,
            secret=SECRET,
            service=SERVICE,
            mutating=(self.names["mutating"],),
            validating=(self.names["validating"],),
        )

    def run(self, now: datetime | None = None, kubeconfig: Path | None = None) -> tuple[int, list[str]]:
        lines: list[str] = []
        api = job.config.new_client_from_config(str(kubeconfig or self.kubeconfig))
        with api:
            return job.ensure_certificate(api, self.request(), now or datetime.now(UTC), lines.append), lines


@pytest.fixture
def world(server: ApiServer, tmp_path: Path) -> World:
    return World(server, tmp_path)


def test_it_issues_a_certificate_that_every_webhook_trusts(world: World) -> None:
    changed, lines = world.run()
    assert changed == 3
    assert lines[-1] == f"issued a certificate for {SERVICE}.{world.namespace}.svc: it does not exist yet"
    assert world.bundles() == {world.secret()["ca.crt"]}
    context = ssl.create_default_context(cadata=base64.b64decode(world.secret()["ca.crt"]).decode())
    assert context.get_ca_certs()


def test_a_rerun_changes_nothing(world: World) -> None:
    world.run()
    before = world.secret()
    assert world.run() == (0, [])
    assert world.secret() == before


def test_applying_the_configuration_again_keeps_the_bundle(world: World) -> None:
    world.run()
    world.apply("mutating", timeout=7)
    assert world.bundles() == {world.secret()["ca.crt"]}
    hooks = world.call("GET", world.path("mutating"))["webhooks"]
    assert {hook["timeoutSeconds"] for hook in hooks} == {7}
    assert world.run() == (0, [])


def test_a_recreated_configuration_gets_the_bundle_again(world: World) -> None:
    world.run()
    world.call("DELETE", world.path("validating"))
    world.apply("validating")
    assert world.bundles() == {world.secret()["ca.crt"], None}
    assert world.run()[0] == 1
    assert world.bundles() == {world.secret()["ca.crt"]}


def test_a_renewal_keeps_the_old_ca_trusted(world: World) -> None:
    world.run()
    old = base64.b64decode(world.secret()["ca.crt"])
    changed, lines = world.run(datetime.now(UTC) + timedelta(days=340))
    assert changed == 3
    assert "it expires in 24 days" in lines[-1]
    bundle = base64.b64decode(world.secret()["ca.crt"])
    assert bundle.endswith(old)
    assert bundle != old
    assert world.bundles() == {world.secret()["ca.crt"]}


def test_a_broken_secret_is_replaced_in_place(world: World) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": SECRET, "labels": {"kept": "yes"}},
        "data": {"tls.crt": "", "tls.key": ""},
    }
    world.call("POST", f"/api/v1/namespaces/{world.namespace}/secrets", body)
    assert world.run()[0] == 3
    stored = world.call("GET", f"/api/v1/namespaces/{world.namespace}/secrets/{SECRET}")
    assert stored["metadata"]["labels"] == {"kept": "yes"}
    assert world.run() == (0, [])


def test_a_missing_configuration_is_reported_without_a_secret(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(world.kubeconfig))
    options = ["--namespace", world.namespace, "--secret", SECRET, "--service", SERVICE]
    assert job.main([*options, "--validating", "nobody"]) == 1
    assert "validatingwebhookconfigurations nobody does not exist." in capsys.readouterr().out
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        world.secret()
    assert job.main([*options, "--validating", world.names["validating"]]) == 0
    assert "PRIVATE" not in capsys.readouterr().out


def test_the_declared_permissions_are_sufficient_and_required(world: World, tmp_path: Path) -> None:
    def kubeconfig(account: str) -> Path:
        accounts = f"/api/v1/namespaces/{world.namespace}/serviceaccounts"
        world.call("POST", accounts, {"metadata": {"name": account}})
        token = world.call("POST", f"{accounts}/{account}/token", {"spec": {}})["status"]["token"]
        text = json.loads(world.server.kubeconfig)
        text["users"][0]["user"]["token"] = token
        path = tmp_path / account
        path.write_text(json.dumps(text))
        return path

    names = list(world.names.values())
    secrets: dict[str, Any] = {"apiGroups": [""], "resources": ["secrets"]}
    change = secrets | {"resourceNames": [SECRET], "verbs": ["get", "patch", "update"]}
    _grant(world, "roles", [secrets | {"verbs": ["create"]}, change])
    configurations = {
        "apiGroups": ["admissionregistration.k8s.io"],
        "resources": ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        "resourceNames": names,
        "verbs": ["get", "patch"],
    }
    _grant(world, "clusterroles", [configurations])
    with world.server.http() as http:
        of_the_role = partial(may, http, world.namespace, "certifier", "create", "secrets")
        of_the_cluster_role = partial(
            may, http, world.namespace, "certifier", "get", "validatingwebhookconfigurations",
            group="admissionregistration.k8s.io", name=world.names["validating"],
        )  # fmt: skip
        eventually(lambda: of_the_role() and of_the_cluster_role())
    assert world.run(kubeconfig=kubeconfig("certifier"))[0] == 3
    with pytest.raises(job.ApiException) as refused:
        world.run(kubeconfig=kubeconfig("somebody"))
    assert refused.value.status == 403


def _grant(world: World, plural: str, rules: list[dict[str, Any]]) -> None:
    wide = plural == "clusterroles"
    group = "/apis/rbac.authorization.k8s.io/v1" + ("" if wide else f"/namespaces/{world.namespace}")
    name = f"certifier-{world.namespace}"
    kind = "ClusterRole" if wide else "Role"
    world.call("POST", f"{group}/{plural}", {"metadata": {"name": name}, "rules": rules})
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "certifier", "namespace": world.namespace}],
    }
    world.call("POST", f"{group}/{kind.lower()}bindings", binding)
