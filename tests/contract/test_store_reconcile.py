"""The reconcile Job against a real MinIO: reruns, rotation, removal, failures."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.faulty_store import Fault, faulty_store
from support.minio import Minio, free_port, running_minio
from support.reconciled import ARTIFACTS, DATA, MODELS, Job

from storage.administered_store import Store
from storage.keys import StoreRole

pytestmark = pytest.mark.contract

TENANTS = ("team-a", "team-ab")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    with running_minio(tmp_path_factory.mktemp("minio")) as running:
        yield running


@pytest.fixture
def job(server: Minio, tmp_path: Path) -> Job:
    return Job(server, tmp_path)


def refusal(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_a_run_uploads_in_parts_and_a_promoter_copies_and_swaps(job: Job) -> None:
    assert job.wants("team-a").run() == 0, job.output
    runner, promoter = (job.client("team-a", role) for role in (StoreRole.RUNNER, StoreRole.PROMOTER))
    name = "team-a/runs/1/large"
    upload = runner.create_multipart_upload(Bucket=ARTIFACTS, Key=name)["UploadId"]
    part = runner.upload_part(Bucket=ARTIFACTS, Key=name, UploadId=upload, PartNumber=1, Body=b"x" * 10)
    runner.complete_multipart_upload(
        Bucket=ARTIFACTS,
        Key=name,
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    target = f"team-a/iris/versions/{secrets.token_hex(4)}/model.pkl"
    promoter.copy_object(Bucket=MODELS, Key=target, CopySource={"Bucket": ARTIFACTS, "Key": name})
    etag = promoter.head_object(Bucket=MODELS, Key=target)["ETag"]
    promoter.put_object(Bucket=MODELS, Key=target, Body=b"y", IfMatch=etag)
    assert (
        refusal(promoter.put_object, Bucket=MODELS, Key=target, Body=b"z", IfMatch=etag)
        == "PreconditionFailed"
    )


def test_a_rerun_changes_nothing(job: Job) -> None:
    assert job.wants(*TENANTS).run() == 0, job.output
    assert job.run() == 0
    assert job.output == "the store is as desired; 0 changes\n"


def test_drift_is_mended(job: Job) -> None:
    assert job.wants("team-a").run() == 0, job.output
    store = Store(job.server.access)
    access_key = job.key("team-a", StoreRole.SERVER).access_key
    store.admin.policy_set("readwrite", user=access_key)
    store.admin.user_disable(access_key)
    store.objects.delete_bucket_lifecycle(ARTIFACTS)
    assert job.run() == 0
    assert f"set user {access_key}" in job.output
    assert f"gave user {access_key} policy slipway-server-team-a" in job.output
    assert f"set lifecycle of bucket {ARTIFACTS}" in job.output
    assert refusal(job.client("team-a", StoreRole.SERVER).list_objects_v2, Bucket=MODELS) == "AccessDenied"


def test_a_rotation_ends_the_old_key_and_a_removal_all_of_them(job: Job) -> None:
    assert job.wants("team-a").run() == 0, job.output
    client = job.client("team-a", StoreRole.SERVER)
    client.list_objects_v2(Bucket=MODELS, Prefix="team-a/")
    assert job.wants("team-a", generation=2).run() == 0, job.output
    assert refusal(client.list_objects_v2, Bucket=MODELS, Prefix="team-a/") == "InvalidAccessKeyId"
    client = job.client("team-a", StoreRole.SERVER, 2)
    client.list_objects_v2(Bucket=MODELS, Prefix="team-a/")
    store = Store(job.server.access)
    store.admin.user_add("somebody-else", secrets.token_hex(16))
    job.server.client().put_object(Bucket=DATA, Key="team-a/kept", Body=b"x")
    assert job.wants().run() == 0
    assert refusal(client.list_objects_v2, Bucket=MODELS, Prefix="team-a/") == "InvalidAccessKeyId"
    assert list(json.loads(store.admin.user_list())) == ["somebody-else"]
    assert not [name for name in json.loads(store.admin.policy_list()) if name.startswith("slipway-")]
    assert job.server.read(DATA, "team-a/kept") == b"x"


def test_runs_expire_and_models_do_not(job: Job) -> None:
    assert job.wants(days=7).run() == 0, job.output
    root = job.server.client()
    days = {
        bucket: [
            rule.get("Expiration", {}).get("Days")
            for rule in root.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        ]
        for bucket in (ARTIFACTS, DATA)
    }
    assert days == {ARTIFACTS: [7], DATA: [None]}
    absent = refusal(root.get_bucket_lifecycle_configuration, Bucket=MODELS)
    assert absent == "NoSuchLifecycleConfiguration"
    buckets = (ARTIFACTS, MODELS, DATA)
    versioned = {bucket: root.get_bucket_versioning(Bucket=bucket).get("Status") for bucket in buckets}
    assert versioned == {ARTIFACTS: None, MODELS: "Enabled", DATA: "Enabled"}
    assert job.wants(days=8).run() == 0
    assert f"set lifecycle of bucket {ARTIFACTS}" in job.output


def test_no_secret_is_ever_said(job: Job) -> None:
    assert job.wants(*TENANTS).run() == 0
    output = job.output
    assert job.run(MINIO_ROOT_PASSWORD=secrets.token_hex(16)) == 1
    output += job.output
    hidden = [job.server.secret_key, job.stack_secret]
    hidden += [job.key(name, role).secret_key.get_secret_value() for name in TENANTS for role in StoreRole]
    assert not [secret for secret in hidden if secret in output]


def test_a_wrong_root_key_fails_at_once_and_says_why(job: Job) -> None:
    assert job.wants().run(MINIO_ROOT_PASSWORD=secrets.token_hex(16)) == 1
    assert "refuses the administrator's key (SignatureDoesNotMatch)" in job.output


def test_a_store_that_is_down_is_waited_for_and_then_named(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store.wait, "__defaults__", (1.0,))
    nobody = f"http://127.0.0.1:{free_port()}"
    assert job.wants().run(S3_ENDPOINT=nobody) == 1
    assert f"The store at {nobody} did not answer within 1 s." in job.output
    assert "nothing answers at the store's address" in job.output


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("XMinioStorageFull", 507, "the store is out of space"),
        ("AccessDenied", 403, "for an external one set slipway:storeAdmin"),
        ("OfNoKnownCause", 400, "the store gave no reason. OfNoKnownCause"),
    ],
)
def test_a_refusal_in_the_middle_is_told_by_its_cause(job: Job, code: str, status: int, words: str) -> None:
    bucket = f"{DATA}-{status}"
    with faulty_store(job.server.endpoint) as proxy:
        proxy.faults = [Fault(method="PUT", path=f"/{bucket}", times=9, status=status, code=code)]
        job.wants()
        state = json.loads(job.desired)
        state["buckets"][2] = bucket
        job.desired = json.dumps(state)
        assert job.run(S3_ENDPOINT=proxy.url) == 1
    assert "Could not set up the buckets: " in job.output
    assert code in job.output
    assert words in job.output
    assert job.run() == 0, "the control: without the fault it is made"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Invalid JSON"),
        ('{"buckets":["a","b","c"],"run_retention_days":1,"extra":1}', "extra"),
        ('{"buckets":["a","b","c"],"run_retention_days":1,"tenants":[{"name":"*"}]}', "can't name a tenant"),
    ],
)
def test_a_wrong_desired_state_changes_nothing(job: Job, text: str, why: str) -> None:
    job.desired = text
    assert job.run() == 2
    assert why in job.output


def test_a_user_without_a_secret_is_refused_by_name(job: Job) -> None:
    job.wants("team-c")
    job.keys = [key for key in job.keys if key.access_key != "team-c-server-1"]
    assert job.run() == 2
    assert "team-c-server-1" in job.output
