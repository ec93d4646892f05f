"""MinIO under the recording engine: volumes and their protection, several nodes, TLS and CA certificates."""

import base64
import json

import pulumi
import pytest
from pydantic import ValidationError
from support.engine import Engine, reveal
from support.recorded_platform import CANARY, IMAGES, deploy

from embedded.cluster import config as embedded_config
from infra import tenancy
from infra.names import LOCAL_STORAGE_CLASS, STORE_NAMESPACE, STORE_PORT
from infra.settings.models import DevSettings, LocalSettings, PlatformSettings, TenantSettings
from storage import keys
from storage.certificates import issue
from storage.layout import Buckets

TEAM = TenantSettings(name="team-a")
DIGEST = f"sha256:{'0' * 64}"


def _local(**store: object) -> PlatformSettings:
    return LocalSettings.model_validate({"environment": "local", "store": store})


def _dev(**store: object) -> PlatformSettings:
    return DevSettings.model_validate(
        {
            "environment": "dev",
            "store": store,
            "cluster": {"context": "team"},
            "kfp": {"kind": "embedded"},
            "images": {name: f"registry.test/{name}@{DIGEST}" for name in IMAGES},
            "endpoints": {
                "kind": "urls",
                "gateway": "https://models.example.org",
                "store": "https://store.example.org",
                **({"console": "https://console.example.org"} if store.get("console") else {}),
                "kfp": "https://kfp.example.org",
            },
        }
    )


@pytest.fixture
def record(monkeypatch):
    def build(settings: PlatformSettings) -> tuple[Engine, dict[str, pulumi.ResourceOptions]]:
        options: dict[str, pulumi.ResourceOptions] = {}
        register = pulumi.runtime.resource.register_resource

        def recording(resource, kind, name, *rest):
            options[name] = next(each for each in rest if isinstance(each, pulumi.ResourceOptions))
            return register(resource, kind, name, *rest)

        monkeypatch.setattr("pulumi.resource.register_resource", recording)
        engine, _ = deploy(monkeypatch, settings, (TEAM,))
        return engine, options

    return build


def test_setting_the_storage_class_does_not_replace_the_volume(record):
    _, options = record(_dev(storage_class="fast"))
    assert options["store-data-minio-0"].ignore_changes == ["spec.storageClassName"]


def test_local_accepts_only_its_own_storage_class():
    assert embedded_config.STORAGE_CLASS == LOCAL_STORAGE_CLASS
    _local(storage_class=LOCAL_STORAGE_CLASS)
    with pytest.raises(ValueError, match="the only StorageClass of `local` is 'standard'"):
        _local(storage_class="fast")


def test_volumes_are_protected_except_in_local(record):
    protected = ("store-data-minio-0", "store-namespace")
    _, local = record(_local())
    _, team = record(_dev())
    _, unprotected = record(_dev(protect_volumes=False))
    assert [bool(local[name].protect) for name in protected] == [False, False]
    assert [bool(team[name].protect) for name in protected] == [True, True]
    assert team["store-data-minio-0"].retain_on_delete
    assert [bool(unprotected[name].protect) for name in protected] == [False, False]


def test_volumes_are_kept_without_the_stateful_set(record):
    engine, options = record(_dev(size_gib=50, storage_class="fast"))
    [claim] = [made for made in engine.of("PersistentVolumeClaim") if made.name.startswith("store-")]
    assert claim.inputs["metadata"]["name"] == "data-minio-0"
    assert claim.inputs["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}
    assert claim.inputs["spec"]["storageClassName"] == "fast"
    assert claim.inputs["spec"]["resources"]["requests"]["storage"] == "50Gi"
    spec = engine.one("store-server").inputs["spec"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert options["store-server"].ignore_changes == ["spec.volumeClaimTemplates"], (
        "a claim can grow without it"
    )


def test_one_node_has_no_peers(record):
    engine, _ = record(_local())
    spec = engine.one("store-server").inputs["spec"]
    assert (spec["replicas"], spec["podManagementPolicy"]) == (1, "OrderedReady")
    assert not engine.of("PodDisruptionBudget")
    assert "topologySpreadConstraints" not in spec["template"]["spec"]


def test_four_nodes_have_peers_and_are_spread(record):
    engine, _ = record(_dev(nodes=4, drives_per_node=2))
    spec = engine.one("store-server").inputs["spec"]
    peers = engine.one("store-nodes").inputs
    assert (spec["replicas"], spec["podManagementPolicy"]) == (4, "Parallel")
    assert spec["serviceName"] == peers["metadata"]["name"] == "minio-nodes"
    assert peers["spec"]["clusterIP"] == "None"
    assert peers["spec"]["publishNotReadyAddresses"] is True, (
        "a pod is ready only after it has found the others"
    )
    assert engine.one("store-disruption").inputs["spec"]["maxUnavailable"] == 1
    pod = spec["template"]["spec"]
    spread = {each["topologyKey"]: each["whenUnsatisfiable"] for each in pod["topologySpreadConstraints"]}
    assert spread["kubernetes.io/hostname"] == "DoNotSchedule"
    [container] = pod["containers"]
    assert container["args"][1] == (
        "https://minio-{0...3}.minio-nodes.slipway-store.svc.cluster.local:9000/data{0...1}"
    )
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"/data0", "/data1", "/etc/minio"} <= mounted
    claims = {made.inputs["metadata"]["name"] for made in engine.of("PersistentVolumeClaim")}
    assert {f"data{drive}-minio-{node}" for drive in range(2) for node in range(4)} <= claims
    assert {each["metadata"]["name"] for each in spec["volumeClaimTemplates"]} == {"data0", "data1"}


def test_several_servers_restart_one_by_one_without_an_outage(record):
    engine, _ = record(_dev(nodes=4))
    server = engine.one("store-server").inputs["spec"]
    assert server["minReadySeconds"] >= 10
    pod = server["template"]["spec"]
    assert pod["enableServiceLinks"] is False, (
        "a server with other MINIO_... variables never joins the others"
    )
    [container] = pod["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/minio/health/cluster/read"
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] < pod["terminationGracePeriodSeconds"]


def test_one_server_does_not_wait_for_peers(record):
    engine, _ = record(_local())
    server = engine.one("store-server").inputs["spec"]
    [container] = server["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/minio/health/ready"
    assert "minReadySeconds" not in server
    assert "lifecycle" not in container


def test_probes_use_tls_and_stale_uploads_expire(record):
    engine, _ = record(_local())
    [container] = engine.one("store-server").inputs["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["scheme"] == "HTTPS"
    plain = {each["name"]: each.get("value") for each in container["env"]}
    assert plain["MINIO_API_STALE_UPLOADS_EXPIRY"] == "24h"
    assert plain["MINIO_API_STALE_UPLOADS_CLEANUP_INTERVAL"] == "6h"


def test_the_server_key_is_in_one_secret_and_its_ca_is_trusted(record):
    engine, _ = record(_local())
    data = reveal(engine.one("store-certificate").inputs)["data"]
    files = {name: base64.b64decode(value).decode() for name, value in data.items()}
    hosts = ["minio.slipway-store.svc.cluster.local"]
    assert files["tls.key"] == issue(CANARY, 1, hosts).key.get_secret_value()
    trusted = {
        made.name: made.inputs["data"]["ca.crt"]
        for made in engine.of("ConfigMap")
        if made.inputs["metadata"]["name"] == "store-ca"
    }
    assert set(trusted) == {"store-authority", "kfp-store-ca", "tenant-team-a-store-ca"}
    [ca_certificates] = set(trusted.values())
    assert ca_certificates in files["ca.crt"], "the servers also trust the previous generation"
    lines = files["tls.key"].splitlines()[1:-1]
    for made in engine.made:
        text = json.dumps(reveal(made.inputs))
        assert made.name == "store-certificate" or not any(line in text for line in lines), made.name


def test_a_new_certificate_restarts_its_readers(record):
    def annotations(engine: Engine) -> dict[str, object]:
        return {
            name: engine.one(name).inputs["spec"]["template"]["metadata"]["annotations"]
            for name in ("store-server", "kfp-server")
        }

    first, second = (record(_local(certificate_generation=number))[0] for number in (1, 2))
    assert annotations(first)["store-server"] != annotations(second)["store-server"]
    assert annotations(first)["kfp-server"] != annotations(second)["kfp-server"]
    job = [each.one("store-reconcile").inputs["metadata"]["name"] for each in (first, second)]
    assert job[0] == job[1], "the desired state is the same"


def test_the_pipelines_api_has_endpoint_and_ca_certificate(record):
    engine, _ = record(_local())
    pod = engine.one("kfp-server").inputs["spec"]["template"]["spec"]
    plain = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert plain["AWS_ENDPOINT_URL_S3"] == "https://minio.slipway-store.svc.cluster.local:9000"
    assert plain["AWS_CA_BUNDLE"] == "/etc/slipway-ca/ca.crt"
    assert not [name for name in plain if "KEY" in name or "SECRET" in name]
    assert {"name": "authority", "configMap": {"name": "store-ca"}} in pod["volumes"]


def test_kserve_annotations_name_the_ca_certificate():
    private = tenancy.kserve_annotations(
        endpoint="minio.store:9000", region="r", tls=True, path_style=True, private_ca=True
    )
    short = {name.removeprefix("serving.kserve.io/s3-"): value for name, value in private.items()}
    assert short == {
        "endpoint": "minio.store:9000",
        "usehttps": "1",
        "verifyssl": "1",
        "region": "r",
        "usevirtualbucket": "false",
        "cabundle": "/etc/ssl/custom-certs/ca.crt",
        "cabundle-configmap": "store-ca",
    }
    public = tenancy.kserve_annotations(
        endpoint="s3.eu.amazonaws.com", region="r", tls=True, path_style=False, private_ca=False
    )
    assert not [name for name in public if "cabundle" in name]
    assert public["serving.kserve.io/s3-usevirtualbucket"] == "true"


def test_storage_config_contains_the_server_key(record):
    engine, _ = record(_local())
    data = reveal(engine.one("tenant-team-a-storage-config").inputs)["data"]
    entry = json.loads(base64.b64decode(data["default"]))
    key = keys.tenant_key(CANARY, "team-a", keys.StoreRole.SERVER)
    assert entry == {
        "type": "s3",
        "access_key_id": key.access_key,
        "secret_access_key": key.secret_key.get_secret_value(),
        "endpoint_url": "https://minio.slipway-store.svc.cluster.local:9000",
        "verify_ssl": "1",
        "region": "us-east-1",
        "bucket": Buckets().models,
        "ca_bundle": "/etc/ssl/custom-certs/ca.crt",
        "cabundle_configmap": "store-ca",
    }
    assert all(isinstance(value, str) for value in entry.values()), "KServe reads a map of texts"


@pytest.mark.parametrize("console", [False, True])
@pytest.mark.parametrize("environment", [_local, _dev])
def test_the_console_and_tokens_are_off_by_default(record, environment, console):
    engine, _ = record(environment(console=True) if console else environment())
    [container] = engine.one("store-server").inputs["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    ports = {each["name"] for each in engine.one("store-service").inputs["spec"]["ports"]}
    assert {each["name"] for each in container["ports"]} == ports
    if console:
        assert (variables["MINIO_BROWSER"], variables.get("MINIO_STS_DURATION"), ports) == (
            "on",
            None,
            {"s3", "console"},
        )
    else:
        assert (variables["MINIO_BROWSER"], variables["MINIO_STS_DURATION"], ports) == ("off", "1s", {"s3"})


@pytest.mark.parametrize("console", [False, True])
def test_no_network_policy_allows_the_console(record, console):
    engine, _ = record(_dev(console=True) if console else _dev())
    [rule] = engine.one("store-ingress").inputs["spec"]["ingress"]
    assert [each["port"] for each in rule["ports"]] == [STORE_PORT]
    policies = tenancy.network_policies(STORE_NAMESPACE, STORE_PORT).values()
    to_store = [
        rule
        for policy in policies
        for rule in policy.get("egress", ())
        if STORE_NAMESPACE in json.dumps(rule.get("to", STORE_NAMESPACE))
    ]
    reached = {each["port"] for rule in to_store for each in rule["ports"]}
    assert reached == {STORE_PORT, 53}, "DNS is allowed by port only"


@pytest.mark.parametrize(
    ("store", "urls", "message"),
    [
        ({"console": True}, {}, "endpoints.console: missing"),
        ({}, {"console": "https://console.example.org"}, "endpoints.console: the console is off"),
    ],
)
def test_console_and_its_url_are_set_together(store, urls, message):
    values = _dev().model_dump(mode="json")
    values |= {"store": {**values["store"], **store}}
    values["endpoints"] = {**values["endpoints"], "console": None, **urls}
    with pytest.raises(ValidationError, match=message):
        DevSettings.model_validate_json(json.dumps(values))
