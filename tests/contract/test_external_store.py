"""The Job of an external store, against a real MinIO and against a store without some features."""

import io
import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from support.minio import Minio, running_minio
from support.moto_server import running_moto

from storage import external_check, reconcile
from storage.administered_store import Store
from storage.keys import StoreRole, tenant_key
from storage.layout import Buckets
from storage.policy import minio_policy, policy_name

pytestmark = pytest.mark.contract

BUCKETS = Buckets(artifacts="ext-artifacts", models="ext-models", data="ext-data")
TENANTS = ("team-a", "team-ab")
Keys = dict[str, dict[str, dict[str, str]]]


class Job:
    """Runs the two containers of the Job as the cluster would, and keeps what they printed."""

    def __init__(self, folder: Path, url: str, admin: Mapping[str, str] | None) -> None:
        self.folder = folder
        self.environment = {"S3_ENDPOINT": url, **(admin or {})}
        self.output = ""
        self.secret = secrets.token_hex(16)
        (folder / "users").mkdir(parents=True)

    def wants(self, keys: Keys) -> "Job":
        state = {
            "buckets": [BUCKETS.artifacts, BUCKETS.models, BUCKETS.data],
            "run_retention_days": 30,
            "tenants": [{"name": name} for name in keys],
        }
        (self.folder / "desired.json").write_text(json.dumps(state))
        (self.folder / "keys.json").write_text(json.dumps(keys))
        for tenant in keys.values():
            for key in tenant.values():
                (self.folder / "users" / key["access_key"]).write_text(key["secret_key"])
        return self

    def reconcile(self) -> int:
        return self._run(reconcile.main, users=self.folder / "users")

    def check(self) -> int:
        return self._run(external_check.main, keys=self.folder / "keys.json", ca=self.folder / "none")

    def _run(self, main: Any, **paths: Path) -> int:
        out = io.StringIO()
        code = main(self.environment, desired=self.folder / "desired.json", out=out, **paths)
        self.output = out.getvalue()
        assert isinstance(code, int)
        return code


def keys_of(secret: str, tenants: tuple[str, ...] = TENANTS) -> Keys:
    found: Keys = {}
    for tenant in tenants:
        for role in StoreRole:
            key = tenant_key(secret, tenant, role)
            plain = {"access_key": key.access_key, "secret_key": key.secret_key.get_secret_value()}
            found.setdefault(tenant, {})[role.value] = plain
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    with running_minio(tmp_path_factory.mktemp("minio")) as running:
        yield running


@pytest.fixture(scope="module")
def administered(server: Minio, tmp_path_factory: pytest.TempPathFactory) -> Job:
    admin = {"MINIO_ROOT_USER": server.access_key, "MINIO_ROOT_PASSWORD": server.secret_key}
    job = Job(tmp_path_factory.mktemp("administered"), server.url, admin)
    job.wants(keys_of(job.secret))
    assert job.reconcile() == 0, job.output
    return job


@pytest.fixture
def by_hand(server: Minio, tmp_path: Path) -> Iterator[tuple[Job, Store]]:
    """Users that an operator made, with names of his own."""
    store = Store(server.access)
    made: Keys = {}
    for name in BUCKETS.model_dump().values():
        if not store.objects.bucket_exists(name):
            store.objects.make_bucket(name)
    for tenant in TENANTS:
        for role in StoreRole:
            key = {"access_key": f"hand-{role}-{tenant}", "secret_key": secrets.token_urlsafe(20)}
            made.setdefault(tenant, {})[role.value] = key
            store.admin.policy_add(f"hand-{role}-{tenant}", policy=minio_policy(tenant, role, BUCKETS))
            store.admin.user_add(key["access_key"], key["secret_key"])
            store.admin.policy_set(f"hand-{role}-{tenant}", user=key["access_key"])
    yield Job(tmp_path, server.url, None).wants(made), store
    for roles in made.values():
        for key in roles.values():
            store.admin.user_remove(key["access_key"])
    for name in (key["access_key"] for roles in made.values() for key in roles.values()):
        store.admin.policy_remove(name)


def client(server: Minio, key: Mapping[str, str]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=key["access_key"],
        aws_secret_access_key=key["secret_key"],
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


def everything(server: Minio) -> dict[str, list[str]]:
    names = [each["Name"] for each in server.client().list_buckets()["Buckets"]]
    return {name: server.keys(name) for name in names}


def test_users_and_policies_are_made_and_proven(server: Minio, administered: Job) -> None:
    before = everything(server)
    assert administered.check() == 0, administered.output
    assert administered.output.endswith("the store does what Slipway needs\n")
    assert everything(server) == before, "the test left something behind"
    keys = keys_of(administered.secret)
    server.client().put_object(Bucket=BUCKETS.models, Key="team-a/iris/versions/x/m", Body=b"x")
    own, other = (client(server, keys[name]["server"]) for name in TENANTS)
    assert own.get_object(Bucket=BUCKETS.models, Key="team-a/iris/versions/x/m")["Body"].read() == b"x"
    with pytest.raises(ClientError) as caught:
        other.get_object(Bucket=BUCKETS.models, Key="team-a/iris/versions/x/m")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


def test_a_rerun_changes_nothing(administered: Job) -> None:
    assert administered.reconcile() == 0
    assert administered.output == "the store is as desired; 0 changes\n"


def test_keys_made_by_hand_are_taken(server: Minio, by_hand: tuple[Job, Store]) -> None:
    job, _ = by_hand
    before = everything(server)
    assert job.check() == 0, job.output
    assert everything(server) == before, "the test left something behind"
    assert "each tenant's keys" in job.output


def test_keys_with_other_rights_are_refused_by_name(by_hand: tuple[Job, Store]) -> None:
    job, store = by_hand
    store.admin.policy_set("readwrite", user="hand-server-team-a")
    store.admin.policy_set("hand-server-team-a", user="hand-promoter-team-a")
    store.admin.policy_set("hand-editor-team-a", user="hand-editor-team-ab")
    assert job.check() == 1
    for refused in (
        "team-a.server: to list ext-models/team-ab/ must be denied, but is allowed.",
        "team-a.server: to write in ext-models/team-a/ must be denied, but is allowed.",
        "team-a.promoter: to write in ext-models/team-a/ must be allowed, but is denied.",
        "team-ab.editor: to read in ext-data/team-a/ must be denied, but is allowed.",
    ):
        assert refused in job.output
    for fine in ("team-a.runner", "team-ab.runner", "team-ab.server"):
        assert fine not in job.output
    keys = json.loads((job.folder / "keys.json").read_text())
    hidden = [key["secret_key"] for roles in keys.values() for key in roles.values()]
    assert not [each for each in hidden if each in job.output]


def test_a_store_that_knows_no_policies_is_refused_by_name(tmp_path: Path) -> None:
    """moto takes any key for anything, as many small S3 servers do."""
    with running_moto(tmp_path) as moto:
        root = client(
            Minio(moto.url.removeprefix("http://"), moto.access_key, moto.secret_key),
            {"access_key": moto.access_key, "secret_key": moto.secret_key},
        )
        for name in BUCKETS.model_dump().values():
            root.create_bucket(Bucket=name)
        job = Job(tmp_path / "job", moto.url, None).wants(keys_of(secrets.token_hex(16)))
        assert job.check() == 1
    assert "team-a.server: to list ext-models/team-ab/ must be denied, but is allowed." in job.output or (
        "does not have what Slipway needs" in job.output
    )


def test_a_wrong_key_is_told_apart(server: Minio, by_hand: tuple[Job, Store]) -> None:
    job, store = by_hand
    store.admin.user_add("hand-server-team-ab", secrets.token_urlsafe(20))
    store.admin.policy_set("hand-server-team-ab", user="hand-server-team-ab")
    assert job.check() == 1
    assert "team-ab.server: to list ext-models/team-ab/ must be allowed, but is answered with" in job.output
    assert "SignatureDoesNotMatch" in job.output


def test_a_key_that_is_no_administrators_is_told_at_once(
    server: Minio, by_hand: tuple[Job, Store], tmp_path: Path
) -> None:
    store = by_hand[1]
    store.admin.policy_set("readwrite", user="hand-server-team-a")
    keys = json.loads((by_hand[0].folder / "keys.json").read_text())
    key = keys["team-a"]["server"]
    admin = {"MINIO_ROOT_USER": key["access_key"], "MINIO_ROOT_PASSWORD": key["secret_key"]}
    job = Job(tmp_path / "other", server.url, admin).wants(keys)
    assert job.reconcile() == 1
    assert "is not an administrator's" in job.output


def test_what_slipway_made_has_names_of_its_own(administered: Job, server: Minio) -> None:
    store = Store(server.access)
    made = json.loads(store.admin.policy_list())
    assert {policy_name(tenant, role) for tenant in TENANTS for role in StoreRole} <= set(made)
