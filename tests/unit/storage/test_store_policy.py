"""The policies, evaluated by a small evaluator: what they allow, and that they allow nothing else."""

import fnmatch
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.iam import decision

from slipway.core.errors import UsageError
from storage.keys import StoreRole
from storage.layout import Buckets, alias_key, history_key, version_prefix
from storage.policy import minio_policy, policy, policy_name

BUCKETS = Buckets()
TENANTS = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)
ROLES = st.sampled_from(list(StoreRole))
OBJECT_ACTIONS = (
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
    "s3:GetObjectVersion",
    "s3:DeleteObjectVersion",
    "s3:PutObjectTagging",
)
BUCKET_ACTIONS = ("s3:ListBucket", "s3:GetBucketLocation", "s3:DeleteBucket", "s3:PutBucketPolicy", "admin:*")


def allows(document: dict[str, Any], action: str, bucket: str, key: str = "", prefix: str = "") -> bool:
    """Exact actions, `*` in resources and in StringLike conditions; a denial wins."""
    allowed = False
    resource = f"arn:aws:s3:::{bucket}/{key}" if action in OBJECT_ACTIONS else f"arn:aws:s3:::{bucket}"
    for statement in document["Statement"]:
        named = any(_like(resource, pattern) for pattern in statement["Resource"])
        patterns = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", ["*"])
        if action in statement["Action"] and named and any(_like(prefix, each) for each in patterns):
            if statement["Effect"] == "Deny":
                return False
            allowed = True
    return allowed


def _like(value: str, pattern: str) -> bool:
    escaped = pattern.replace("[", "[[]")
    return fnmatch.fnmatchcase(value, escaped)


@given(mine=TENANTS, theirs=TENANTS, role=ROLES, key=KEYS)
def test_no_role_has_access_to_another_tenant(mine: str, theirs: str, role: StoreRole, key: str) -> None:
    assume(mine != theirs)
    document = policy(mine, role, BUCKETS)
    for bucket in (BUCKETS.artifacts, BUCKETS.models, BUCKETS.data):
        for action in OBJECT_ACTIONS:
            assert not allows(document, action, bucket, f"{theirs}/{key}")
        assert not allows(document, "s3:ListBucket", bucket, prefix=f"{theirs}/{key}")


@given(tenant=TENANTS, role=ROLES, tail=st.from_regex(r"[a-z0-9-]{1,5}", fullmatch=True), key=KEYS)
def test_a_longer_tenant_name_is_another_tenant(tenant: str, role: StoreRole, tail: str, key: str) -> None:
    document = policy(tenant, role, BUCKETS)
    for bucket in (BUCKETS.artifacts, BUCKETS.models, BUCKETS.data):
        assert not allows(document, "s3:GetObject", bucket, f"{tenant}{tail}/runs/{key}")
        assert not allows(document, "s3:PutObject", bucket, f"{tenant}{tail}/runs/{key}")
        assert not allows(document, "s3:ListBucket", bucket, prefix=f"{tenant}{tail}/")


@given(tenant=TENANTS, role=ROLES, prefix=st.sampled_from(["", "/", "t", "team"]))
def test_no_role_lists_outside_the_tenants_prefix(tenant: str, role: StoreRole, prefix: str) -> None:
    for bucket in (BUCKETS.artifacts, BUCKETS.models, BUCKETS.data):
        assert not allows(policy(tenant, role, BUCKETS), "s3:ListBucket", bucket, prefix=prefix)


@given(
    tenant=TENANTS,
    role=ROLES,
    bucket=st.text("abcdefghijklmnopqrstuvwxyz-", min_size=3, max_size=20),
    key=KEYS,
)
def test_no_other_bucket_is_accessible(tenant: str, role: StoreRole, bucket: str, key: str) -> None:
    assume(bucket not in (BUCKETS.artifacts, BUCKETS.models, BUCKETS.data))
    document = policy(tenant, role, BUCKETS)
    for action in (*OBJECT_ACTIONS, *BUCKET_ACTIONS):
        assert not allows(document, action, bucket, f"{tenant}/{key}", prefix=f"{tenant}/")


@pytest.mark.parametrize(
    ("role", "bucket", "key", "allowed"),
    [
        (StoreRole.RUNNER, BUCKETS.artifacts, "team-a/runs/1/x", {"get", "put", "delete"}),
        (StoreRole.RUNNER, BUCKETS.artifacts, "team-a/other", set()),
        (StoreRole.RUNNER, BUCKETS.models, "team-a/iris/versions/x", {"get"}),
        (StoreRole.RUNNER, BUCKETS.data, "team-a/iris.csv", {"get"}),
        (StoreRole.SERVER, BUCKETS.models, "team-a/iris/versions/x", {"get"}),
        (StoreRole.SERVER, BUCKETS.artifacts, "team-a/runs/1/x", set()),
        (StoreRole.SERVER, BUCKETS.data, "team-a/iris.csv", set()),
        (StoreRole.PROMOTER, BUCKETS.artifacts, "team-a/runs/1/x", {"get"}),
        (StoreRole.PROMOTER, BUCKETS.models, "team-a/iris/versions/x", {"get", "put"}),
        (StoreRole.PROMOTER, BUCKETS.data, "team-a/iris.csv", {"get"}),
        (StoreRole.EDITOR, BUCKETS.data, "team-a/iris.csv", {"get", "put", "delete"}),
    ],
)
def test_permissions_of_each_role(role: StoreRole, bucket: str, key: str, allowed: set[str]) -> None:
    document = policy("team-a", role, BUCKETS)
    verbs = {"get": "s3:GetObject", "put": "s3:PutObject", "delete": "s3:DeleteObject"}
    assert {verb for verb, action in verbs.items() if allows(document, action, bucket, key)} == allowed
    assert allows(document, "s3:ListBucket", bucket, prefix=key) == bool(allowed)


def test_a_wildcard_is_not_a_tenant_name() -> None:
    for name in ("*", "team-?", "a/b", ""):
        with pytest.raises(UsageError):
            policy(name, StoreRole.RUNNER, BUCKETS)


@given(one=st.tuples(TENANTS, ROLES), other=st.tuples(TENANTS, ROLES))
def test_policy_names_are_unique(one: tuple[str, StoreRole], other: tuple[str, StoreRole]) -> None:
    assume(one != other)
    assert policy_name(*one) != policy_name(*other)


WRITING = ("s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload")
DIGESTS = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)


@given(tenant=TENANTS, role=ROLES, key=KEYS)
def test_only_runners_write_runs_and_editors_write_data(tenant: str, role: StoreRole, key: str) -> None:
    document = policy(tenant, role, BUCKETS)
    for action in WRITING:
        in_runs = role is StoreRole.RUNNER and action != "s3:DeleteObjectVersion"
        in_data = role is StoreRole.EDITOR and action != "s3:DeleteObjectVersion"
        assert allows(document, action, BUCKETS.artifacts, f"{tenant}/runs/{key}") == in_runs
        assert allows(document, action, BUCKETS.data, f"{tenant}/{key}") == in_data


@given(tenant=TENANTS, model=TENANTS, alias=TENANTS, role=ROLES, digest=DIGESTS, number=st.integers(1, 10**7))
def test_only_promotion_writes_models_and_no_role_deletes_logs(
    tenant: str, model: str, alias: str, role: StoreRole, digest: str, number: int
) -> None:
    document = policy(tenant, role, BUCKETS)
    version = version_prefix(tenant, model, digest) + "manifest.json"
    record, log = alias_key(tenant, model, alias), history_key(tenant, model, number)
    deletable = {"s3:DeleteObject": (version, record), "s3:DeleteObjectVersion": (version,)}
    for key in (version, record, log):
        assert allows(document, "s3:PutObject", BUCKETS.models, key) == (role is StoreRole.PROMOTER)
        for action, keys in deletable.items():
            may = role is StoreRole.COLLECTOR and key in keys
            assert allows(document, action, BUCKETS.models, key) == may


@pytest.mark.parametrize(
    ("role", "bucket", "key"),
    [
        (StoreRole.EDITOR, BUCKETS.data, "team-a/d.csv"),
        (StoreRole.COLLECTOR, BUCKETS.models, alias_key("team-a", "iris", "champion")),
    ],
)
def test_deleting_an_object_never_deletes_its_versions(role: StoreRole, bucket: str, key: str) -> None:
    document = policy("team-a", role, BUCKETS)
    assert allows(document, "s3:DeleteObject", bucket, key)
    denied = [each["Action"] for each in document["Statement"] if each["Effect"] == "Deny"]
    assert denied == [["s3:DeleteObjectVersion"]], "else MinIO takes the one for the other"


ADMINISTRATION = (
    *("admin:CreateUser", "admin:GetUser", "admin:CreateServiceAccount", "admin:ListServiceAccounts"),
    *("admin:AttachUserOrGroupPolicy", "admin:ServerInfo", "kms:CreateKey", "kms:Status"),
    "sts:AssumeRoleWithWebIdentity",
)
USER, TOKEN = ({"aws:principaltype": kind} for kind in ("User", "AssumedRole"))


@pytest.mark.parametrize("role", StoreRole)
@pytest.mark.parametrize("action", ADMINISTRATION)
def test_every_key_is_denied_administration(role: StoreRole, action: str) -> None:
    granted, whole = (make("team-a", role, BUCKETS) for make in (policy, minio_policy))
    for resource in ("", f"arn:aws:s3:::{BUCKETS.models}/team-a/x"):
        assert decision([whole], action, resource, USER) == "deny"
        assert decision([granted], action, resource, USER) == "none", "which MinIO takes for leave"


@given(tenant=TENANTS, role=ROLES, key=KEYS)
def test_denials_affect_tokens_and_not_the_key(tenant: str, role: StoreRole, key: str) -> None:
    granted, whole = (make(tenant, role, BUCKETS) for make in (policy, minio_policy))
    prefix = {"s3:prefix": f"{tenant}/runs/{key}"}
    for bucket in (BUCKETS.artifacts, BUCKETS.models, BUCKETS.data):
        arn = f"arn:aws:s3:::{bucket}"
        asked = [(action, f"{arn}/{tenant}/runs/{key}", {}) for action in OBJECT_ACTIONS]
        asked += [("s3:ListBucket", arn, prefix), ("s3:GetBucketLocation", arn, {})]
        for action, resource, context in asked:
            mine = decision([granted], action, resource, USER | context)
            assert decision([whole], action, resource, USER | context) == mine
            assert decision([whole], action, resource, TOKEN | context) == "deny"
            # MinIO reads a condition's key from a header of the request, a variable from what it knows.
            assert decision([whole], action, resource, USER | context, TOKEN) == "deny"


@pytest.mark.parametrize("role", StoreRole)
def test_account_information_lists_no_bucket(role: StoreRole) -> None:
    document = minio_policy("team-a", role, BUCKETS)
    arn = f"arn:aws:s3:::{BUCKETS.models}"
    for action in ("s3:GetBucketLocation", "s3:ListBucket", "s3:PutObject"):
        assert decision([document], action, arn, USER | {"s3:prefix": ""}) == "deny"
    assert decision([document], "s3:ListAllMyBuckets", "arn:aws:s3:::", USER | {"s3:prefix": ""}) == "deny"
