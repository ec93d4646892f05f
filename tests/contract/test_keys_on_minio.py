"""What a tenant's key may do to itself in a MinIO: every call of the admin API and of STS, in every role."""

import dataclasses
import inspect
import io
import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.datatypes import PeerInfo, PeerSite, SiteReplicationStatusOptions
from minio.error import MinioAdminException
from pydantic import SecretStr
from support.minio import Minio, running_minio
from support.reconciled import ARTIFACTS, MODELS, Job

from infra.stores.minio_layout import NO_CONSOLE
from storage.administered_store import Store
from storage.administration import ERRORS, accounts_of, code_of, open_admin, status_of
from storage.client import StoreAccess, open_store
from storage.key_check import permission_errors
from storage.keys import StoreKey, StoreRole
from storage.layout import Buckets
from storage.policy import policy, policy_name
from storage.reconcile import _canonical

pytestmark = pytest.mark.contract

TENANTS = ("team-a", "team-ab")
OTHER = "team-ab-runner-1"
ARN = "arn:aws:iam::123456789012:role/any"
READ_ONLY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["admin:*"]}]}
ACCOUNT = "account-of-root"
"""An access key that the administrator made."""

PEERS = [PeerSite("one", "http://127.0.0.1:1", "a", "b"), PeerSite("two", "http://127.0.0.1:2", "a", "b")]

CALLS: dict[str, Callable[[MinioAdmin, StoreKey], object]] = {
    "add_service_account": lambda admin, _: admin.add_service_account(),
    "add_site_replication": lambda admin, _: admin.add_site_replication(PEERS),
    "attach_policy": lambda admin, own: admin.attach_policy(["readwrite"], user=own.access_key),
    "attach_policy_ldap": lambda admin, own: admin.attach_policy_ldap(["readwrite"], user=own.access_key),
    "bucket_quota_clear": lambda admin, _: admin.bucket_quota_clear(MODELS),
    "bucket_quota_get": lambda admin, _: admin.bucket_quota_get(MODELS),
    "bucket_quota_set": lambda admin, _: admin.bucket_quota_set(MODELS, 1 << 40),
    "config_get": lambda admin, _: admin.config_get("api"),
    "config_history": lambda admin, _: admin.config_history(),
    "config_reset": lambda admin, _: admin.config_reset("scanner"),
    "config_restore": lambda admin, _: admin.config_restore("none"),
    "config_set": lambda admin, _: admin.config_set("scanner", {"speed": "default"}),
    "detach_policy": lambda admin, own: admin.detach_policy(["readwrite"], user=own.access_key),
    "detach_policy_ldap": lambda admin, own: admin.detach_policy_ldap(["readwrite"], user=own.access_key),
    "edit_site_replication": lambda admin, _: admin.edit_site_replication(
        PeerInfo("id", "http://x", "0", "0")
    ),
    "get_data_usage_info": lambda admin, _: admin.get_data_usage_info(),
    "get_policy_entities": lambda admin, own: admin.get_policy_entities([own.access_key], [], []),
    "get_site_replication_info": lambda admin, _: admin.get_site_replication_info(),
    "get_site_replication_status": lambda admin, _: admin.get_site_replication_status(
        SiteReplicationStatusOptions(buckets=True)
    ),
    "group_add": lambda admin, own: admin.group_add("own", own.access_key),
    "group_disable": lambda admin, _: admin.group_disable("own"),
    "group_enable": lambda admin, _: admin.group_enable("own"),
    "group_info": lambda admin, _: admin.group_info("own"),
    "group_list": lambda admin, _: admin.group_list(),
    "group_remove": lambda admin, own: admin.group_remove("own", own.access_key),
    "info": lambda admin, _: admin.info(),
    "kms_key_create": lambda admin, _: admin.kms_key_create("own"),
    "kms_key_status": lambda admin, _: admin.kms_key_status("own"),
    "list_access_keys_ldap": lambda admin, own: admin.list_access_keys_ldap(own.access_key, "all"),
    "list_access_keys_ldap_bulk": lambda admin, own: admin.list_access_keys_ldap_bulk(
        [own.access_key], "all", False
    ),
    "list_service_account": lambda admin, _: admin.list_service_account(OTHER),
    "policy_add": lambda admin, _: admin.policy_add(
        policy_name("team-a", StoreRole.RUNNER), policy=READ_ONLY
    ),
    "policy_info": lambda admin, _: admin.policy_info("readwrite"),
    "policy_list": lambda admin, _: admin.policy_list(),
    "policy_remove": lambda admin, _: admin.policy_remove("writeonly"),
    "policy_set": lambda admin, own: admin.policy_set("consoleAdmin", user=own.access_key),
    "policy_unset": lambda admin, own: admin.policy_unset("consoleAdmin", user=own.access_key),
    "profile_start": lambda admin, _: admin.profile_start(("cpu",)),
    "remove_site_replication": lambda admin, _: admin.remove_site_replication(all_sites=True),
    "update_service_account": lambda admin, _: admin.update_service_account(
        access_key=ACCOUNT, secret_key="another-secret"
    ),
    "user_add": lambda admin, own: admin.user_add(own.access_key, secrets.token_urlsafe(20)),
    "user_disable": lambda admin, own: admin.user_disable(own.access_key),
    "user_enable": lambda admin, own: admin.user_enable(own.access_key),
    "user_info": lambda admin, own: admin.user_info(own.access_key),
    "user_list": lambda admin, _: admin.user_list(),
    "user_remove": lambda admin, own: admin.user_remove(own.access_key),
    "update": lambda admin, _: admin.update(),
    "service_restart": lambda admin, _: admin.service_restart(),
    "service_stop": lambda admin, _: admin.service_stop(),
}
"""A call of each method, in an order that the administrator may keep to: the last ones end the server."""

NOT_ASKED = {
    "account_info": "tells its own name and policy, and no bucket",
    "delete_service_account": "removes an access key of its own, and it can have none",
    "get_service_account": "tells of an access key of its own, and it can have none",
}
"""What MinIO does for every user without asking a policy."""

OF_SEVERAL_NODES = {"top_locks": (426, "XMinioAdminVersionMismatch")}
"""What one node answers to everybody: it has no such call."""

LOCAL = {"set_app_info", "trace_off", "trace_on"}
"""What makes no request."""

ROUTES = (
    ("PUT", "/minio/admin/v3/add-user?accessKey={own}"),
    ("GET", "/minio/admin/v3/user-info?accessKey={own}"),
    ("PUT", "/minio/admin/v3/set-user-status?accessKey={own}&status=disabled"),
    ("GET", "/minio/admin/v3/temporary-account-info?accessKey={own}"),
    ("GET", "/minio/admin/v3/list-access-keys-bulk?listType=all"),
    ("GET", "/minio/admin/v3/list-access-keys-bulk?listType=all&users={own}"),
    ("GET", "/minio/admin/v3/info-access-key?accessKey={other}"),
    (
        "PUT",
        "/minio/admin/v3/set-user-or-group-policy?policyName=consoleAdmin&userOrGroup={own}&isGroup=false",
    ),
    ("GET", "/minio/admin/v3/idp/openid/list-access-keys-bulk?listType=all"),
    ("GET", "/minio/admin/v3/export-iam"),
    ("PUT", "/minio/admin/v3/import-iam"),
    ("GET", "/minio/admin/v3/inspect-data?volume=.minio.sys&file=config"),
    ("GET", "/minio/admin/v3/export-bucket-metadata"),
    ("GET", "/minio/admin/v3/config"),
    ("GET", "/minio/admin/v3/list-remote-targets?bucket={bucket}&type=replication"),
    ("GET", "/minio/admin/v3/tier"),
    ("GET", "/minio/admin/v3/list-jobs"),
    ("GET", "/minio/admin/v3/log"),
    ("GET", "/minio/admin/v3/trace?s3=true"),
    ("POST", "/minio/admin/v3/speedtest"),
    ("GET", "/minio/kms/v1/status"),
    ("GET", "/minio/kms/v1/key/list?pattern=%2A"),
    ("POST", "/minio/kms/v1/key/create?key-id=own"),
)
"""Requests that the client has no method for."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    """A MinIO as others run it: it gives tokens."""
    with running_minio(tmp_path_factory.mktemp("minio")) as running:
        yield running


@pytest.fixture(scope="module")
def job(server: Minio, tmp_path_factory: pytest.TempPathFactory) -> Job:
    made = Job(server, tmp_path_factory.mktemp("job"))
    assert made.wants(*TENANTS).run() == 0, made.output
    open_admin(access(server, root(server))).add_service_account(
        access_key=ACCOUNT, secret_key="a-secret-of-it"
    )
    for tenant in TENANTS:
        server.client().put_object(Bucket=MODELS, Key=f"{tenant}/iris/versions/x", Body=b"x")
        server.client().put_object(Bucket=ARTIFACTS, Key=f"{tenant}/runs/x", Body=b"x")
    return made


def access(server: Minio, key: StoreKey) -> StoreAccess:
    return StoreAccess(endpoint=server.url, region="us-east-1", key=key)


def root(server: Minio) -> StoreKey:
    return StoreKey(access_key=server.access_key, secret_key=server.secret_key)


def refusal(call: Callable[[], object]) -> tuple[int, str]:
    """Status and code of what the admin API answered; (200, '') where it did it."""
    try:
        call()
    except UnboundLocalError as error:  # the client's own `config_get`, on its way from a refusal
        assert isinstance(error.__context__, ERRORS)
        return status_of(error.__context__), code_of(error.__context__)
    except ERRORS as error:
        return status_of(error), code_of(error)
    return 200, ""


def opens(key: StoreKey, server: Minio) -> bool:
    client = open_store(access(server, key))
    return bool(client.list_objects_v2(Bucket=MODELS, Prefix="team-a/")["KeyCount"])


def unchanged(server: Minio, key: StoreKey, role: StoreRole) -> None:
    """Its secret, policy and status are what they were, and it made nothing."""
    assert opens(key, server)
    admin = open_admin(access(server, root(server)))
    user = json.loads(admin.user_info(key.access_key))
    assert (user["status"], user["policyName"]) == ("enabled", policy_name("team-a", role))
    assert user.get("memberOf") in (None, [])
    assert accounts_of(admin, key.access_key) == ()


def test_no_method_of_the_client_is_forgotten() -> None:
    public = {name for name, _ in inspect.getmembers(MinioAdmin, callable) if not name.startswith("_")}
    assert public == {*CALLS, *NOT_ASKED, *OF_SEVERAL_NODES, *LOCAL}


@pytest.mark.parametrize("role", StoreRole)
def test_every_call_of_the_admin_api_is_denied(job: Job, role: StoreRole) -> None:
    key = job.key("team-a", role)
    admin = open_admin(access(job.server, key))
    answers = {name: refusal(lambda call=call: call(admin, key)) for name, call in CALLS.items()}
    assert answers == dict.fromkeys(CALLS, (403, "AccessDenied"))
    assert refusal(admin.top_locks) == OF_SEVERAL_NODES["top_locks"]
    unchanged(job.server, key, role)


def test_the_administrator_is_denied_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "minio").mkdir()
    with running_minio(tmp_path / "minio") as server:
        job = Job(server, tmp_path / "job")
        assert job.wants(*TENANTS).run() == 0, job.output
        key = job.key("team-a", StoreRole.RUNNER)
        admin = open_admin(access(server, root(server)))
        answers = {}
        for name, call in CALLS.items():
            answers[name] = refusal(lambda call=call: call(admin, key))[1]
            if name == "info":
                assert refusal(admin.top_locks) == OF_SEVERAL_NODES["top_locks"]
    assert "AccessDenied" not in answers.values(), answers
    done = {name for name, code in answers.items() if not code}
    assert {"add_service_account", "user_add", "policy_set", "user_info", "user_remove"} <= done


@pytest.mark.parametrize("role", StoreRole)
def test_what_no_policy_is_asked_for_tells_and_changes_nothing(job: Job, role: StoreRole) -> None:
    key = job.key("team-a", role)
    admin = open_admin(access(job.server, key))
    account = json.loads(admin.account_info(prefix_usage=True))
    assert (account["AccountName"], account.get("Buckets")) == (key.access_key, None)
    assert json.loads(admin.list_service_account(key.access_key))["accounts"] is None
    administrator = open_admin(access(job.server, root(job.server)))
    foreign = json.loads(administrator.add_service_account())["credentials"]["accessKey"]
    assert refusal(lambda: admin.get_service_account(foreign)) == (403, "AccessDenied")
    assert refusal(lambda: admin.delete_service_account(foreign))[0] == 404
    assert json.loads(administrator.account_info())["Buckets"], "the control"
    administrator.delete_service_account(foreign)
    unchanged(job.server, key, role)


def test_the_account_information_would_name_every_tenant(job: Job) -> None:
    """Without the denial: the control of the test above."""
    key, store = job.key("team-a", StoreRole.SERVER), administered(job.server)
    with granted_alone(store, StoreRole.SERVER):
        account = json.loads(open_admin(access(job.server, key)).account_info(prefix_usage=True))
    assert [bucket["name"] for bucket in account["Buckets"]] == [MODELS]


def send(server: Minio, key: StoreKey, method: str, path: str) -> tuple[int, str]:
    """Send a signed request; the status and the code of the answer."""
    request = AWSRequest(method, f"{server.url}{path}", data=b"")
    signer = SigV4Auth(Credentials(key.access_key, key.secret_key.get_secret_value()), "s3", "us-east-1")
    request.headers["x-amz-content-sha256"] = signer.payload(request)
    signer.add_auth(request)
    with urllib3.PoolManager(timeout=10, retries=False) as pool:
        answer = pool.request(
            method, request.url, headers=dict(request.headers.items()), preload_content=False
        )
        body = answer.read(4000) if answer.status >= 400 else b""
        answer.close()
    return answer.status, code_of(MinioAdminException(str(answer.status), body.decode()))


@pytest.mark.parametrize("role", StoreRole)
def test_every_other_request_is_denied(job: Job, role: StoreRole) -> None:
    key = job.key("team-a", role)
    words = {"own": key.access_key, "other": OTHER, "bucket": MODELS}
    answers = {route: send(job.server, key, route[0], route[1].format(**words)) for route in ROUTES}
    assert answers == dict.fromkeys(ROUTES, (403, "AccessDenied"))
    assert send(job.server, root(job.server), "GET", "/minio/admin/v3/user-info?accessKey=" + OTHER)[0] == 200
    unchanged(job.server, key, role)


def token(server: Minio, key: StoreKey, **arguments: Any) -> StoreAccess:
    client = boto3.client(
        "sts",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=key.access_key,
        aws_secret_access_key=key.secret_key.get_secret_value(),
    )
    made = client.assume_role(RoleArn=ARN, RoleSessionName="own", **arguments)["Credentials"]
    by_token = StoreKey(access_key=made["AccessKeyId"], secret_key=made["SecretAccessKey"])
    return dataclasses.replace(access(server, by_token), session_token=SecretStr(made["SessionToken"]))


EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"]}]}
EVERYTHING["Statement"][0]["Resource"] = ["arn:aws:s3:::*"]  # type: ignore[index]
ASKED = (
    {"DurationSeconds": 900},
    {"DurationSeconds": 7 * 24 * 3600},
    {"DurationSeconds": 900, "Policy": json.dumps(EVERYTHING)},
)


def uses(client: Any) -> dict[str, Callable[[], object]]:
    """What a runner may do in its own prefixes, by every kind of request."""
    run = {"Bucket": ARTIFACTS, "Key": "team-a/runs/x"}
    return {
        "read": lambda: client.get_object(**run),
        "head": lambda: client.head_object(**run),
        "list": lambda: client.list_objects_v2(Bucket=MODELS, Prefix="team-a/"),
        "write": lambda: client.put_object(**run, Body=b"x"),
        "stream": lambda: client.put_object(**run, Body=io.BytesIO(b"x"), ChecksumAlgorithm="SHA256"),
        "copy": lambda: client.copy_object(
            **run, CopySource={"Bucket": MODELS, "Key": "team-a/iris/versions/x"}
        ),
        "parts": lambda: client.create_multipart_upload(**run),
        "location": lambda: client.get_bucket_location(Bucket=MODELS),
        "delete": lambda: client.delete_object(Bucket=ARTIFACTS, Key="team-a/runs/nothing"),
        "by url": lambda: fetched(client.generate_presigned_url("get_object", Params=run)),
        "by form": lambda: posted(client.generate_presigned_post(**run)),
    }


def fetched(url: str) -> None:
    answer = urllib3.request("GET", url, retries=False)
    if answer.status >= 300:
        raise MinioAdminException(str(answer.status), answer.data.decode())


def posted(form: dict[str, Any]) -> None:
    fields = {**form["fields"], "file": ("x", b"x")}
    answer = urllib3.request("POST", form["url"], fields=fields, retries=False)
    if answer.status >= 300:
        raise MinioAdminException(str(answer.status), answer.data.decode())


def claiming(opened: StoreAccess, headers: dict[str, str]) -> Any:
    client = open_store(opened)

    def claim(request: AWSRequest, **_: object) -> None:
        for name, value in headers.items():
            request.headers[name] = value

    client.meta.events.register("before-sign.s3", claim)
    return client


def codes(client: Any) -> dict[str, str]:
    def code(use: Callable[[], object]) -> str:
        try:
            use()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            return "AccessDenied" if code == "403" else str(code)
        except MinioAdminException as error:
            return code_of(error)
        return ""

    return {name: code(use) for name, use in uses(client).items()}


@pytest.mark.parametrize("asked", ASKED, ids=["15 minutes", "7 days", "with a policy of its own"])
def test_a_token_opens_nothing_whatever_its_holder_claims(job: Job, asked: dict[str, Any]) -> None:
    key = job.key("team-a", StoreRole.RUNNER)
    assert set(codes(open_store(access(job.server, key))).values()) == {""}, "the control"
    opened = token(job.server, key, **asked)
    for claim in (
        {},
        {"principaltype": "User"},
        {"principaltype": "Account"},
        {"userid": job.server.access_key, "username": job.server.access_key},
        {"prefix": "team-a/"},
    ):
        found = codes(claiming(opened, claim))
        # With a form, and with a URL that is signed by version 2, MinIO refuses the token itself.
        refused = {found.pop(use) for use in ("by form", "by url")}
        assert refused <= {"AccessDenied", "InvalidTokenId"}, (claim, refused)
        assert set(found.values()) == {"AccessDenied"}, (claim, found)
    assert opened.key
    assert opened.session_token
    admin = open_admin(opened)
    admin._provider = StaticProvider(
        opened.key.access_key,
        opened.key.secret_key.get_secret_value(),
        opened.session_token.get_secret_value(),
    )
    assert refusal(admin.add_service_account) == (403, "AccessDenied")
    assert refusal(lambda: admin.user_add("somebody", "a-secret-of-his")) == (403, "AccessDenied")
    assert refusal(lambda: admin.user_add(key.access_key, "another-secret"))[0] in (400, 403)
    unchanged(job.server, key, StoreRole.RUNNER)


def test_in_slipways_own_store_nobody_gets_a_token(tmp_path: Path) -> None:
    (tmp_path / "minio").mkdir()
    with running_minio(tmp_path / "minio", **NO_CONSOLE) as server:
        job = Job(server, tmp_path / "job")
        assert job.wants("team-a").run() == 0, job.output
        server.client().put_object(Bucket=MODELS, Key="team-a/x", Body=b"x")
        for key in (*(job.key("team-a", role) for role in StoreRole), root(server)):
            for asked in ({}, *ASKED):
                with pytest.raises(ClientError) as refused:
                    token(server, key, **asked)
                assert refused.value.response["Error"]["Code"] == "InvalidParameterValue"
                assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        for role in StoreRole:
            unchanged(server, job.key("team-a", role), role)


def test_the_keys_pass_the_check_of_a_store_elsewhere(job: Job) -> None:
    keys = {(tenant, role): job.key(tenant, role) for tenant in TENANTS for role in StoreRole}
    where = access(job.server, root(job.server))
    assert [*permission_errors(where, Buckets(), TENANTS, keys)] == []
    with granted_alone(administered(job.server), StoreRole.EDITOR):
        found = [*permission_errors(where, Buckets(), ("team-a",), keys)]
    by_token = "opens what it may by a token of AssumeRole"
    assert [each.partition(",")[0] for each in found] == [
        "team-a.editor: the key gives itself a secret",
        "team-a.editor: the key makes an access key by MinIO's admin API",
        f"team-a.editor: the key {by_token}",
        f"team-a.editor: the key {by_token} and the header principaltype: User",
    ]
    unchanged(job.server, job.key("team-a", StoreRole.EDITOR), StoreRole.EDITOR)


# --- what was made before the denials ---------------------------------------------------------------------


class granted_alone:  # noqa: N801  # reads as what it does
    """For a while, a role's policy without the denials, as Slipway wrote it before."""

    def __init__(self, store: Store, role: StoreRole) -> None:
        self.store, self.name = store, policy_name("team-a", role)
        self.before = json.loads(store.admin.policy_list())[self.name]
        self.former = policy("team-a", role, Buckets())

    def __enter__(self) -> None:
        self.store.admin.policy_add(self.name, policy=self.former)

    def __exit__(self, *_: object) -> None:
        self.store.admin.policy_add(self.name, policy=self.before)


def administered(server: Minio) -> Store:
    return Store(server.access)


@pytest.mark.parametrize("role", StoreRole)
def test_what_a_step_made_before_is_removed_by_the_next_up(job: Job, role: StoreRole) -> None:
    key, store = job.key("team-a", role), administered(job.server)
    policies = _canonical(json.loads(store.admin.policy_list()))
    store.admin.policy_add(policy_name("team-a", role), policy=policy("team-a", role, Buckets()))
    admin = open_admin(access(job.server, key))
    made = json.loads(admin.add_service_account())["credentials"]
    account = StoreKey(access_key=made["accessKey"], secret_key=made["secretKey"])
    opened = token(job.server, key, DurationSeconds=7 * 24 * 3600)
    admin.user_add(key.access_key, "a-secret-that-nobody-else-knows")
    assert opens(account, job.server), "the control"
    assert open_store(opened).list_objects_v2(Bucket=MODELS, Prefix="team-a/")["KeyCount"], "the control"
    with pytest.raises(ClientError) as locked_out:
        opens(key, job.server)
    assert locked_out.value.response["Error"]["Code"] == "SignatureDoesNotMatch", "the control"

    assert job.run() == 0, job.output

    assert f"set user {key.access_key}" in job.output
    assert f"removed service account {account.access_key} of {key.access_key}" in job.output
    assert _canonical(json.loads(store.admin.policy_list())) == policies
    for dead, code in ((access(job.server, account), "InvalidAccessKeyId"), (opened, "AccessDenied")):
        with pytest.raises(ClientError) as refused:
            open_store(dead).list_objects_v2(Bucket=MODELS, Prefix="team-a/")
        assert refused.value.response["Error"]["Code"] == code
    unchanged(job.server, key, role)
    assert job.run() == 0
    assert job.output == "the store is as desired; 0 changes\n"
