"""The login of a registry: a Secret in every namespace with pods, and nowhere else."""

import base64
import json
from typing import Any

import pytest
from support.engine import Engine, reveal, secrets_masked
from support.recorded_platform import deploy

from infra.contract import PlatformOutputs
from infra.names import PULL_SECRET, RUNNER, SERVER
from infra.settings.models import LocalSettings, TenantSettings

LOGIN = json.dumps({"auths": {"registry.test": {"auth": "login-Vq8Zr3KxTn"}}})
ENCODED = base64.b64encode(LOGIN.encode()).decode()


@pytest.fixture(scope="module")
def built() -> tuple[Engine, PlatformOutputs]:
    with pytest.MonkeyPatch.context() as patch:
        tenants = (TenantSettings(name="team-a"), TenantSettings(name="team-b"))
        local = LocalSettings(environment="local")
        return deploy(patch, local, tenants, registry_login=LOGIN)


def _namespaces_with_the_secret(engine: Engine) -> set[str]:
    bodies = [reveal(made.inputs) for made in engine.of("Secret")]
    mine = [body for body in bodies if body["metadata"]["name"] == PULL_SECRET]
    for body in mine:
        assert body["type"] == "kubernetes.io/dockerconfigjson"
        assert body["data"] == {".dockerconfigjson": ENCODED}
    return {body["metadata"]["namespace"] for body in mine}


def _with_namespace(engine: Engine) -> list[dict[str, Any]]:
    """Return the objects in namespaces; KServe makes pods of a ClusterServingRuntime in a tenant's."""
    bodies = [reveal(made.inputs) for made in engine.objects()]
    return [body for body in bodies if "namespace" in body["metadata"]]


def _pods(body: object) -> list[dict[str, Any]]:
    """Return every pod spec in a body."""
    if not isinstance(body, dict):
        return []
    inner = [pod for value in body.values() for pod in _pods(value)]
    return [body, *inner] if "containers" in body else inner


def test_every_namespace_with_pods_has_the_secret(built: tuple[Engine, PlatformOutputs]) -> None:
    engine, _ = built
    present = _namespaces_with_the_secret(engine)
    assert present >= {"team-a", "team-b"}, "model servers and pods of runs"
    with_pods = {body["metadata"]["namespace"] for body in _with_namespace(engine) if _pods(body)}
    assert with_pods
    assert with_pods <= present


def test_every_pod_names_the_secret_or_its_account_does(
    built: tuple[Engine, PlatformOutputs],
) -> None:
    engine, _ = built
    accounts = [reveal(made.inputs) for made in engine.of("ServiceAccount")]
    through = {
        (body["metadata"]["namespace"], body["metadata"]["name"])
        for body in accounts
        if body.get("imagePullSecrets") == [{"name": PULL_SECRET}]
    }
    assert {("team-a", RUNNER), ("team-a", SERVER)} <= through
    pods = 0
    for body in _with_namespace(engine):
        for pod in _pods(body):
            account = (body["metadata"]["namespace"], pod.get("serviceAccountName"))
            named = pod.get("imagePullSecrets") == [{"name": PULL_SECRET}]
            assert named or account in through, body["metadata"]["name"]
            pods += 1
    assert pods >= 4


def test_the_login_is_in_no_plan_and_no_output(built: tuple[Engine, PlatformOutputs]) -> None:
    engine, outputs = built
    for made in engine.made:
        shown = secrets_masked(made.inputs)
        assert "Vq8Zr3KxTn" not in shown
        assert ENCODED not in shown
    assert "Vq8Zr3KxTn" not in outputs.model_dump_json()


def test_without_a_login_there_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: nodes that need no login get none."""
    engine, _ = deploy(monkeypatch, LocalSettings(environment="local"), ())
    assert _namespaces_with_the_secret(engine) == set()
    assert "imagePullSecrets" not in json.dumps([reveal(made.inputs) for made in engine.objects()])
