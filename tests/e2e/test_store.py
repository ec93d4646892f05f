"""The store as its readers see it on a running platform: whose key, over TLS, and what it does not open."""

import base64
from urllib.parse import urlsplit

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, SSLError
from kubernetes import client, config
from support.checkout import Checkout, Finished

from infra.contract import PlatformOutputs
from serving.access import open_store, store_access
from storage.client import ca_file

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

TENANT = "team-a"


@pytest.fixture(scope="module")
def outputs(clone: Checkout, first_up: Finished) -> PlatformOutputs:
    assert first_up.code == 0
    return PlatformOutputs.model_validate_json(clone.slipway("outputs", "local", "--json").out)


@pytest.fixture(scope="module")
def cluster(outputs: PlatformOutputs) -> client.CoreV1Api:
    return client.CoreV1Api(config.new_client_from_config(outputs.kubeconfig))


def _key(cluster: client.CoreV1Api, secret: str) -> dict[str, str]:
    data = cluster.read_namespaced_secret(secret, TENANT).data
    return {name.lower(): base64.b64decode(value).decode() for name, value in data.items()}


def _put_code(outputs: PlatformOutputs, key: dict[str, str], bucket: str, name: str) -> str:
    store = boto3.client(
        "s3",
        endpoint_url=outputs.store.endpoint,
        region_name=outputs.store.region,
        verify=str(ca_file(str(store_access(outputs, TENANT, "editor").ca))),
        config=Config(s3={"addressing_style": "path"}),
        **key,
    )
    try:
        store.put_object(Bucket=bucket, Key=name, Body=b"from a test")
    except ClientError as error:
        answer = error.response
        return f"{answer['ResponseMetadata']['HTTPStatusCode']} {answer['Error']['Code']}"
    return "written"


def test_a_runs_artifacts_landed_in_its_tenants_prefix(outputs: PlatformOutputs, first_up: Finished) -> None:
    run_id = next(each["run_id"] for each in first_up.json["models"] if each["name"] == "iris")
    place = urlsplit(outputs.tenants[TENANT].pipeline_root)
    store = open_store(outputs, TENANT, "editor")
    pages = store.get_paginator("list_objects_v2").paginate(
        Bucket=place.netloc, Prefix=f"{place.path.lstrip('/')}/"
    )
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    assert [key for key in keys if f"/{run_id}/" in key], keys


def test_a_predictor_loads_with_its_tenants_own_key(
    outputs: PlatformOutputs, cluster: client.CoreV1Api
) -> None:
    [pod, *_] = cluster.list_namespaced_pod(
        TENANT, label_selector="serving.kserve.io/inferenceservice=iris"
    ).items
    [fetching] = pod.spec.init_containers
    variables = {each.name: each for each in fetching.env}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert variables[name].value_from.secret_key_ref.name == outputs.tenants[TENANT].server_secret
    generation = outputs.tenants[TENANT].key_generation
    assert _key(cluster, "store-server")["aws_access_key_id"] == f"{TENANT}-server-{generation}"
    assert variables["AWS_ENDPOINT_URL"].value == outputs.store.internal_endpoint
    assert outputs.store.internal_endpoint.startswith("https://")
    assert variables["S3_VERIFY_SSL"].value == "1"
    trusted = variables["AWS_CA_BUNDLE"].value
    assert f"ca bundle file({trusted}) exists" in cluster.read_namespaced_pod_log(
        pod.metadata.name, TENANT, container=fetching.name
    )


def test_a_run_writes_runs_and_no_models(outputs: PlatformOutputs, cluster: client.CoreV1Api) -> None:
    key, store = _key(cluster, "store-runner"), outputs.store
    assert _put_code(outputs, key, store.models_bucket, f"{TENANT}/iris/from-a-run") == "403 AccessDenied"
    assert _put_code(outputs, key, store.artifacts_bucket, "team-ab/runs/x") == "403 AccessDenied"
    assert _put_code(outputs, key, store.artifacts_bucket, f"{TENANT}/runs/test") == "written", "the control"


def test_a_predictor_writes_nothing(outputs: PlatformOutputs, cluster: client.CoreV1Api) -> None:
    key, store = _key(cluster, "store-server"), outputs.store
    assert _put_code(outputs, key, store.models_bucket, f"{TENANT}/iris/by-server") == "403 AccessDenied"


def test_the_store_uses_tls_alone(outputs: PlatformOutputs) -> None:
    access = store_access(outputs, TENANT, "editor")
    assert access.key is not None
    plain = outputs.store.endpoint.replace("https://", "http://")
    assert httpx.get(f"{plain}/minio/health/live", timeout=10).status_code == 400
    unknown = boto3.client(
        "s3",
        endpoint_url=outputs.store.endpoint,
        region_name=outputs.store.region,
        aws_access_key_id=access.key.access_key,
        aws_secret_access_key=access.key.secret_key.get_secret_value(),
    )
    with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        unknown.list_objects_v2(Bucket=outputs.store.data_bucket, Prefix=f"{TENANT}/")
    known = open_store(outputs, TENANT, "editor")
    assert known.list_objects_v2(Bucket=outputs.store.data_bucket, Prefix=f"{TENANT}/")["KeyCount"] >= 0


def test_the_platforms_own_store_passes_slipways_test_of_stores(
    clone: Checkout, outputs: PlatformOutputs, cluster: client.CoreV1Api
) -> None:
    administrator = cluster.read_namespaced_secret("store-root", "slipway-store").data
    done = clone.slipway("doctor", "--store", "--stack", "local", "--json")
    assert done.code == 0, done.err
    assert done.json["usable"] is True
    assert [each["capability"] for each in done.json["refusals"]] == [
        "listing-by-header",
        "abandoned-uploads",
    ]
    for value in administrator.values():
        assert base64.b64decode(value).decode() not in done.out + done.err
    store = open_store(outputs, TENANT, "editor")
    assert store.list_objects_v2(Bucket=outputs.store.models_bucket, Prefix=f"{TENANT}/")["KeyCount"] > 0
