"""The whole program with a store outside the cluster, and the settings with its keys."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.aws_engine import ACCOUNT, AwsEngine
from support.engine import Engine, reveal, secrets_masked
from support.recorded_platform import CANARY, deploy

from infra.contract import PlatformOutputs
from infra.settings import config, examples, operator_secrets
from infra.settings.models import PlatformSettings, TenantSettings
from infra.settings.operator_secrets import OperatorSecrets
from infra.stores import outside
from slipway.core.errors import UsageError
from storage.keys import StoreRole, tenant_key
from storage.operator_keys import read_admin, read_tenants

TEAMS = tuple(TenantSettings(name=name) for name in ("team-a", "team-ab"))
ADMIN = {"access_key": "operator", "secret_key": "canary-Admin-4tY7uQ"}
S3 = yaml.safe_load(examples.S3)
EXTERNAL = yaml.safe_load(examples.EXTERNAL)
NONE: dict[str, Any] = {
    "store": {**EXTERNAL["store"], "administration": "none", "lifecycle": "operator"},
}
Built = tuple[Engine, PlatformOutputs]


def platform(values: dict[str, Any]) -> PlatformSettings:
    document = json.dumps(yaml.safe_load(examples.DEV) | values)
    return config._PLATFORM.validate_json(document)


def operator_keys() -> dict[str, Any]:
    return {
        team.name: {
            role.value: {"access_key": f"hand-{team.name}-{role}", "secret_key": f"canary-{team.name}-{role}"}
            for role in StoreRole
        }
        for team in TEAMS
    }


@pytest.fixture(scope="module")
def ca_certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    import ssl

    certificate = ssl.create_default_context().get_ca_certs(binary_form=True)[0]
    return ssl.DER_cert_to_PEM_cert(certificate)


def build(
    folder: Path, values: dict[str, Any], operator: OperatorSecrets, engine: Engine | None = None
) -> Built:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infra.stores.choice._PROJECT", folder)
        return deploy(patch, platform(values), TEAMS, operator=operator, engine=engine)


@pytest.fixture(scope="module")
def on_aws(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("aws"), S3, OperatorSecrets(), AwsEngine())


@pytest.fixture(scope="module")
def administered(tmp_path_factory: pytest.TempPathFactory, ca_certificate: str) -> Built:
    folder = tmp_path_factory.mktemp("administered")
    (folder / "certificates").mkdir()
    (folder / "certificates/store.pem").write_text(ca_certificate)
    return build(folder, EXTERNAL, OperatorSecrets(admin=read_admin(json.dumps(ADMIN), "x")))


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory, ca_certificate: str) -> Built:
    folder = tmp_path_factory.mktemp("by-hand")
    (folder / "certificates").mkdir()
    (folder / "certificates/store.pem").write_text(ca_certificate)
    keys = read_tenants(json.dumps(operator_keys()), "x", [team.name for team in TEAMS])
    return build(folder, NONE, OperatorSecrets(tenants=keys))


def inputs(engine: Engine, name: str) -> dict[str, Any]:
    values = reveal(engine.one(name).inputs)
    assert isinstance(values, dict)
    return values


def test_on_aws_there_are_no_store_keys(on_aws: Built) -> None:
    engine, outputs = on_aws
    assert not [made.name for made in engine.of("Secret") if "store" in made.name]
    assert outputs.store.model_dump(exclude={"artifacts_bucket", "models_bucket", "data_bucket"}) == {
        "kind": "s3",
        "endpoint": "https://s3.eu-central-1.amazonaws.com",
        "internal_endpoint": "https://s3.eu-central-1.amazonaws.com",
        "region": "eu-central-1",
        "tls": True,
        "path_style": False,
        "ca_config_map": None,
        "keyless": True,
        "root_key_generation": None,
        "certificate_generation": None,
    }
    for tenant in outputs.tenants.values():
        assert {getattr(tenant, f"{role}_secret") for role in StoreRole} == {None}


def test_on_aws_service_accounts_have_role_annotations(on_aws: Built) -> None:
    engine, _ = on_aws
    annotations = {
        account: inputs(engine, f"tenant-team-a-account-{account}")["metadata"].get("annotations", {})
        for account in ("pipeline-runner", "model-server", "default-editor", "default-viewer")
    }
    roles = {account: each.get("eks.amazonaws.com/role-arn") for account, each in annotations.items()}
    assert roles.pop("default-viewer") is None
    for account, role in {
        "pipeline-runner": "runner",
        "model-server": "server",
        "default-editor": "editor",
    }.items():
        assert str(roles[account]).startswith(f"arn:aws:iam::{ACCOUNT}:role/slipway-team-a-{role}-")
    assert annotations["model-server"]["serving.kserve.io/s3-endpoint"] == "s3.eu-central-1.amazonaws.com"


def test_on_aws_runs_use_the_default_credential_chain(on_aws: Built) -> None:
    engine, _ = on_aws
    launcher = inputs(engine, "tenant-team-a-launcher")["data"]
    assert yaml.safe_load(launcher["providers"])["s3"]["default"]["credentials"] == {"fromEnv": True}
    [rule] = inputs(engine, "tenant-team-a-network-allow-store")["spec"]["egress"]
    assert rule == {"ports": [{"port": 443, "protocol": "TCP"}]}


def test_with_pod_identity_pods_reach_the_agent(tmp_path: Path) -> None:
    identity = {"identity": {"kind": "pod-identity", "cluster_name": "team-cluster"}}
    engine, _ = build(tmp_path, {"store": S3["store"] | identity}, OperatorSecrets(), AwsEngine())
    [_, agent] = inputs(engine, "tenant-team-a-network-allow-store")["spec"]["egress"]
    assert agent == {
        "to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}],
        "ports": [{"port": 80, "protocol": "TCP"}],
    }


def test_on_aws_no_minio_objects_are_declared(on_aws: Built) -> None:
    engine, _ = on_aws
    assert not [made.name for made in engine.objects() if made.name.startswith("store")]


def test_a_role_for_an_unknown_tenant_is_rejected(tmp_path: Path) -> None:
    values = {"store": S3["store"] | {"people": [{**S3["store"]["people"][0], "tenant": "team-z"}]}}
    with pytest.raises(UsageError, match="unknown tenant 'team-z'"):
        build(tmp_path, values, OperatorSecrets())


def test_a_missing_aws_sdk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [each for each in sys.modules if each == "infra.stores.s3"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pulumi_aws", None)
    with pytest.raises(UsageError) as caught:
        build(tmp_path, S3, OperatorSecrets())
    assert caught.value.fix == "Run: uv sync --extra aws"


def test_an_external_store_is_reconciled_and_then_verified(administered: Built) -> None:
    engine, outputs = administered
    job = inputs(engine, "store-check")
    pod = job["spec"]["template"]["spec"]
    modules = [each["command"][-1] for each in (*pod["initContainers"], *pod["containers"])]
    assert modules == ["storage.reconcile", "storage.external_check"]
    desired = json.loads(inputs(engine, "store-desired")["data"]["desired.json"])
    assert desired["buckets"] == ["example-artifacts", "example-models", "example-data"]
    users = inputs(engine, "store-users")["data"]
    key = tenant_key(CANARY, "team-a", StoreRole.RUNNER)
    assert base64.b64decode(users[key.access_key]).decode() == key.secret_key.get_secret_value()
    assert outputs.store.kind == "external"
    assert (outputs.store.endpoint, outputs.store.ca_config_map) == ("https://s3.example.org", "store-ca")
    [rule] = inputs(engine, "tenant-team-a-network-allow-store")["spec"]["egress"]
    assert rule == {"ports": [{"port": 443, "protocol": "TCP"}]}


def test_operator_keys_reach_their_tenants(by_hand: Built) -> None:
    engine, _ = by_hand
    pod = inputs(engine, "store-check")["spec"]["template"]["spec"]
    assert "initContainers" not in pod
    assert not [name for name in ("store-users", "store-admin") if [m for m in engine.made if m.name == name]]
    for team in TEAMS:
        data = inputs(engine, f"tenant-{team.name}-store-server")["data"]
        assert base64.b64decode(data["AWS_ACCESS_KEY_ID"]).decode() == f"hand-{team.name}-server"


def test_secrets_occur_only_in_the_data_of_secrets(administered: Built, by_hand: Built) -> None:
    for engine, _ in (administered, by_hand):
        for made in engine.made:
            text = secrets_masked(made.inputs)
            assert "canary" not in text, made.name
            if not made.typ.endswith(":Secret"):
                assert "[secret]" not in text, f"{made.name} contains a secret"


def test_a_changed_key_gives_the_job_another_name(
    by_hand: Built, tmp_path: Path, ca_certificate: str
) -> None:
    (tmp_path / "certificates").mkdir()
    (tmp_path / "certificates/store.pem").write_text(ca_certificate)
    changed = operator_keys()
    changed["team-a"]["server"]["secret_key"] += "-2"
    keys = read_tenants(json.dumps(changed), "x", [team.name for team in TEAMS])
    other, _ = build(tmp_path, NONE, OperatorSecrets(tenants=keys))
    names = [inputs(each, "store-check")["metadata"]["name"] for each in (by_hand[0], other)]
    assert names[0] != names[1]
    assert all(len(name) == len("store-check-") + 10 for name in names)


@pytest.mark.parametrize(("text", "why"), [(None, "FileNotFoundError"), ("no certificate", "SSLError")])
def test_an_invalid_ca_file_is_rejected(tmp_path: Path, text: str | None, why: str) -> None:
    if text is not None:
        (tmp_path / "certificates").mkdir()
        (tmp_path / "certificates/store.pem").write_text(text)
    with pytest.raises(UsageError) as caught:
        build(tmp_path, EXTERNAL, OperatorSecrets(admin=read_admin(json.dumps(ADMIN), "x")))
    assert why in str(caught.value)


def stack_file(folder: Path, platform_values: dict[str, Any], **more: object) -> Path:
    path = folder / "Pulumi.dev.yaml"
    values = yaml.safe_load(examples.DEV) | platform_values
    secret = {"slipway:secret": {"secure": "v1:abc:def"}}
    path.write_text(yaml.safe_dump({"config": {"slipway:platform": values} | secret | more}))
    return path


@pytest.mark.parametrize(("values", "key"), [(EXTERNAL, "slipway:storeAdmin"), (NONE, "slipway:storeKeys")])
def test_a_missing_operator_key_is_reported(tmp_path: Path, values: dict[str, Any], key: str) -> None:
    with pytest.raises(UsageError) as caught:
        config.load_file(stack_file(tmp_path, values))
    assert f"Pulumi.dev.yaml: {key}: missing." in str(caught.value)
    assert f"pulumi config set --secret {key} --stack dev < keys.json" in caught.value.fix
    config.load_file(stack_file(tmp_path, values, **{key: {"secure": "v1:x:y"}}))


@pytest.mark.parametrize("key", operator_secrets.KEYS)
def test_an_operator_key_in_plain_text_is_rejected(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError) as caught:
        config.load_file(stack_file(tmp_path, EXTERNAL, **{key: json.dumps(ADMIN)}))
    assert f"{key}: is stored in plain text" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_lifecycle_must_match_administration() -> None:
    for values in ({"administration": "none"}, {"administration": "minio", "lifecycle": "operator"}):
        store = EXTERNAL["store"] | {"lifecycle": "slipway"} | values
        with pytest.raises(ValueError, match="the store's administrator sets its lifecycle rules"):
            platform({"store": store})


def test_service_accounts_exist_for_workload_roles() -> None:
    assert set(outside._ACCOUNTS) == {StoreRole.RUNNER, StoreRole.SERVER, StoreRole.EDITOR}
