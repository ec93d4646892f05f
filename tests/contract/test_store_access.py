"""Who may do what in the store: every role of two tenants whose names begin alike, with the real policies.

Each refusal has its exact code and HTTP status, and each action a tenant and role that may do it.
"""

import secrets
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.minio import Minio, running_minio

from storage.administered_store import Store
from storage.client import StoreAccess, open_store
from storage.desired_state import DesiredState
from storage.keys import StoreKey, StoreRole, tenant_key
from storage.layout import alias_key, history_key, version_prefix
from storage.lifecycle import read_rules
from storage.reconcile import reconcile

pytestmark = pytest.mark.contract

ARTIFACTS, MODELS, DATA = "slipway-artifacts", "slipway-models", "slipway-data"
TENANTS = ("team-a", "team-ab")
SECRET = secrets.token_hex(16)
ALL = frozenset({"get", "list", "put", "copy", "multipart", "delete", "versions", "delete version"})
READ = frozenset({"get", "list", "versions"})
"""On MinIO the right to list a prefix includes its old versions; AWS asks for a right of its own."""

WRITE = frozenset({"put", "copy", "multipart"})
NOTHING: frozenset[str] = frozenset()
MAY = {
    # The bucket of runs keeps no versions: there the only one, "null", is the object itself.
    (StoreRole.RUNNER, "run"): READ | WRITE | {"delete", "delete version"},
    (StoreRole.RUNNER, "version"): READ,
    (StoreRole.RUNNER, "record"): READ,
    (StoreRole.RUNNER, "data"): READ,
    (StoreRole.SERVER, "run"): NOTHING,
    (StoreRole.SERVER, "version"): READ,
    (StoreRole.SERVER, "record"): READ,
    (StoreRole.SERVER, "data"): NOTHING,
    (StoreRole.EDITOR, "run"): READ,
    (StoreRole.EDITOR, "version"): READ,
    (StoreRole.EDITOR, "record"): READ,
    (StoreRole.EDITOR, "data"): READ | WRITE | {"delete"},
    (StoreRole.PROMOTER, "run"): READ,
    (StoreRole.PROMOTER, "version"): READ | WRITE,
    (StoreRole.PROMOTER, "record"): READ | WRITE,
    (StoreRole.PROMOTER, "data"): READ,
    (StoreRole.COLLECTOR, "run"): NOTHING,
    (StoreRole.COLLECTOR, "version"): READ | {"delete", "delete version"},
    (StoreRole.COLLECTOR, "record"): READ | {"delete"},
    (StoreRole.COLLECTOR, "data"): NOTHING,
}


def place(kind: str, tenant: str) -> tuple[str, str]:
    """A bucket and a key of each kind that a tenant has."""
    return {
        "run": (ARTIFACTS, f"{tenant}/runs/1/out"),
        "version": (MODELS, version_prefix(tenant, "iris", "a" * 64) + "files/model.pkl"),
        "record": (MODELS, alias_key(tenant, "iris", "champion")),
        "data": (DATA, f"{tenant}/d.csv"),
    }[kind]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    with running_minio(tmp_path_factory.mktemp("minio")) as running:
        desired = DesiredState.model_validate(
            {
                "buckets": (ARTIFACTS, MODELS, DATA),
                "tenants": [{"name": name, "key_generation": 1} for name in TENANTS],
                "run_retention_days": 90,
            }
        )
        keys = [tenant_key(SECRET, tenant, role) for tenant in TENANTS for role in StoreRole]
        reconcile(
            Store(running.access),
            desired,
            {key.access_key: key.secret_key.get_secret_value() for key in keys},
            lambda line: None,
        )
        yield running


@pytest.fixture(scope="module")
def opened(server: Minio) -> Callable[[str, StoreRole], Any]:
    clients = {
        (tenant, role): open_store(
            StoreAccess(endpoint=server.url, region="us-east-1", key=tenant_key(SECRET, tenant, role))
        )
        for tenant in TENANTS
        for role in StoreRole
    }
    return lambda tenant, role: clients[tenant, role]


def attempts(client: Any, bucket: str, key: str, version: str, source: dict[str, str]) -> dict[str, Any]:
    """Each action, as a call."""
    folder = key.rsplit("/", 1)[0] + "/"

    def in_parts() -> None:
        upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        named = {"Bucket": bucket, "Key": key, "UploadId": upload}
        part = client.upload_part(**named, PartNumber=1, Body=b"parts")
        client.list_parts(**named)
        done = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.complete_multipart_upload(**named, MultipartUpload=done)

    return {
        "get": lambda: client.get_object(Bucket=bucket, Key=key),
        "list": lambda: client.list_objects_v2(Bucket=bucket, Prefix=folder)["Contents"],
        "put": lambda: client.put_object(Bucket=bucket, Key=key, Body=b"put"),
        "copy": lambda: client.copy_object(Bucket=bucket, Key=key, CopySource=source),
        "multipart": in_parts,
        "versions": lambda: client.list_object_versions(Bucket=bucket, Prefix=folder)["Versions"],
        "delete": lambda: client.delete_object(Bucket=bucket, Key=key),
        "delete version": lambda: client.delete_object(Bucket=bucket, Key=key, VersionId=version),
    }


def answer(call: Callable[[], object]) -> str:
    """`ok`, or the store's code and status."""
    try:
        call()
    except ClientError as error:
        response = error.response
        return f"{response['Error']['Code']} {response['ResponseMetadata']['HTTPStatusCode']}"
    return "ok"


def written(root: Any, bucket: str, key: str) -> str:
    return str(root.put_object(Bucket=bucket, Key=key, Body=b"there").get("VersionId", "null"))


@pytest.mark.parametrize("kind", ["run", "version", "record", "data"])
@pytest.mark.parametrize("role", StoreRole)
def test_each_role_does_exactly_its_own(
    server: Minio, opened: Callable[[str, StoreRole], Any], role: StoreRole, kind: str
) -> None:
    root = server.client()
    for mine, theirs in (TENANTS, TENANTS[::-1]):
        client = opened(mine, role)
        readable = [each for each in ("run", "version", "data") if "get" in MAY[role, each]]
        source_bucket, source_key = place(readable[0], mine)
        source_key += ".source"
        written(root, source_bucket, source_key)
        source = {"Bucket": source_bucket, "Key": source_key}
        bucket, key = place(kind, mine)
        version = written(root, bucket, key)
        ends = {}
        for name, call in attempts(client, bucket, key, version, source).items():
            ends[name] = answer(call)
            if name.startswith("delete"):
                written(root, bucket, key)
        assert ends == {name: "ok" if name in MAY[role, kind] else "AccessDenied 403" for name in ALL}, mine
        bucket, key = place(kind, theirs)
        version = written(root, bucket, key)
        foreign = attempts(client, bucket, key, version, source)
        assert {name: answer(call) for name, call in foreign.items()} == dict.fromkeys(
            ALL, "AccessDenied 403"
        )
        assert root.get_object(Bucket=bucket, Key=key)["Body"].read() == b"there"


@pytest.mark.parametrize("role", StoreRole)
def test_nothing_is_copied_from_another_tenant(
    server: Minio, opened: Callable[[str, StoreRole], Any], role: StoreRole
) -> None:
    root = server.client()
    for mine, theirs in (TENANTS, TENANTS[::-1]):
        for kind in ("run", "version", "data"):
            bucket, key = place(kind, theirs)
            written(root, bucket, key)
            for target in ("run", "version", "data"):
                to, name = place(target, mine)
                copy = {"Bucket": bucket, "Key": key}
                named = {"Bucket": to, "Key": name, "CopySource": copy}
                ended = answer(partial(opened(mine, role).copy_object, **named))
                assert ended == "AccessDenied 403"


@pytest.mark.parametrize("role", StoreRole)
def test_nobody_lists_above_their_own_prefix(
    opened: Callable[[str, StoreRole], Any], role: StoreRole
) -> None:
    for mine, theirs in (TENANTS, TENANTS[::-1]):
        client = opened(mine, role)
        for bucket in (ARTIFACTS, MODELS, DATA):
            for prefix in ("", "/", "t", mine, theirs, f"{theirs}/", f"{theirs}/runs/", f"{theirs}/iris/"):
                for listing in (client.list_objects_v2, client.list_object_versions):
                    ended = answer(lambda: listing(Bucket=bucket, Prefix=prefix))  # noqa: B023 - called at once
                    assert ended == "AccessDenied 403", (bucket, prefix)
            assert answer(lambda: client.list_multipart_uploads(Bucket=bucket)) == "AccessDenied 403"  # noqa: B023


@pytest.mark.parametrize("role", StoreRole)
def test_no_role_changes_a_bucket_and_few_read_how_it_is_set_up(
    opened: Callable[[str, StoreRole], Any], role: StoreRole
) -> None:
    client = opened("team-a", role)
    rule = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    denied = "AccessDenied 403"
    for bucket in (ARTIFACTS, MODELS, DATA):
        changes = {
            "lifecycle": lambda: client.put_bucket_lifecycle_configuration(
                Bucket=bucket,  # noqa: B023 - called at once
                LifecycleConfiguration={"Rules": [rule]},
            ),
            "versioning": lambda: client.put_bucket_versioning(
                Bucket=bucket,  # noqa: B023
                VersioningConfiguration={"Status": "Suspended"},
            ),
            "policy": lambda: client.put_bucket_policy(Bucket=bucket, Policy="{}"),  # noqa: B023
            "bucket": lambda: client.delete_bucket(Bucket=bucket),  # noqa: B023
        }
        assert {name: answer(call) for name, call in changes.items()} == dict.fromkeys(changes, denied)
        reads_lifecycle = bucket == MODELS and role in {StoreRole.PROMOTER, StoreRole.EDITOR}
        code = answer(lambda: client.get_bucket_lifecycle_configuration(Bucket=bucket))  # noqa: B023
        assert code == ("NoSuchLifecycleConfiguration 404" if reads_lifecycle else denied)
        code = answer(lambda: client.get_bucket_versioning(Bucket=bucket))  # noqa: B023
        assert code == ("ok" if (role, bucket) == (StoreRole.COLLECTOR, MODELS) else denied)
    assert answer(lambda: client.create_bucket(Bucket="another")) == denied
    assert answer(lambda: client.get_object(Bucket="no-such-bucket", Key="x")) == denied
    if role in {StoreRole.PROMOTER, StoreRole.EDITOR}:
        assert read_rules(client, MODELS) == []


def test_a_collector_deletes_no_log_and_no_old_alias(
    server: Minio, opened: Callable[[str, StoreRole], Any]
) -> None:
    root, client = server.client(), opened("team-a", StoreRole.COLLECTOR)
    for model in ("iris", "versions", "history", "aliases"):
        denied = "AccessDenied 403"
        for key, expected in {
            version_prefix("team-a", model, "b" * 64) + "manifest.json": ["ok", "ok"],
            alias_key("team-a", model, "champion"): ["ok", denied],
            history_key("team-a", model, 1): [denied, denied],
        }.items():
            version = written(root, MODELS, key)
            ends = [
                answer(lambda: client.delete_object(Bucket=MODELS, Key=key)),  # noqa: B023 - called at once
                answer(lambda: client.delete_object(Bucket=MODELS, Key=key, VersionId=version)),  # noqa: B023
            ]
            assert ends == expected, key


def test_who_shows_no_key_or_a_wrong_one_gets_nothing(server: Minio) -> None:
    known = tenant_key(SECRET, "team-a", StoreRole.SERVER)
    wrong = StoreKey(
        access_key=known.access_key, secret_key=tenant_key(SECRET, "team-a", StoreRole.EDITOR).secret_key
    )
    nobody = StoreKey(access_key="team-a-server-9", secret_key=known.secret_key)
    bucket, key = place("version", "team-a")
    written(server.client(), bucket, key)
    for shown, code in (
        (known, "ok"),
        (wrong, "SignatureDoesNotMatch 403"),
        (nobody, "InvalidAccessKeyId 403"),
    ):
        client = open_store(StoreAccess(endpoint=server.url, region="us-east-1", key=shown))
        assert answer(lambda: client.get_object(Bucket=bucket, Key=key)) == code  # noqa: B023 - called at once
