"""Permissions in a store on AWS."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.aws_engine import AwsEngine
from support.iam import decision
from support.s3_store import (
    ACCOUNTS,
    BUCKETS,
    CI,
    IRSA,
    ISSUER,
    KEY,
    POD_IDENTITY,
    PURPOSES,
    REGION,
    TENANTS,
    deploy,
    documents,
    inputs,
)

from infra.stores import aws, s3
from storage.keys import StoreRole
from storage.policy import policy

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)
ACTIONS = (
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:GetObjectVersion",
    "s3:AbortMultipartUpload",
)


def test_only_denials_apply_to_everyone(engine: AwsEngine) -> None:
    for name, document in documents(engine).items():
        for statement in document["Statement"]:
            assert statement.get("Principal") != "*" or statement["Effect"] == "Deny", name
            assert "*" not in statement["Action"], name
            assert statement["Effect"] == "Deny" or "s3:*" not in statement["Action"], name


PUT = ("s3:PutObject", f"arn:aws:s3:::{BUCKETS.models}/team-a/iris/x")
SECURE = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
_KEY_HEADER = "s3:x-amz-server-side-encryption-aws-kms-key-id"


@pytest.mark.parametrize(
    ("context", "refused"),
    [
        ({}, False),
        ({"s3:TlsVersion": "1.2"}, False),
        ({"s3:x-amz-server-side-encryption": "aws:kms", _KEY_HEADER: KEY}, False),
        ({"aws:SecureTransport": "false"}, True),
        ({"s3:TlsVersion": "1.1"}, True),
        ({"s3:x-amz-server-side-encryption": "AES256"}, True),
        ({"s3:x-amz-server-side-encryption": "aws:kms", _KEY_HEADER: f"{KEY}-of-another"}, True),
    ],
)
def test_a_bucket_denies_plain_http_old_tls_and_other_keys(
    engine: AwsEngine, context: dict[str, str], refused: bool
) -> None:
    document = documents(engine)["store-models-policy"]
    assert decision([document], *PUT, SECURE | context) == ("deny" if refused else "none")


@given(mine=NAMES, theirs=NAMES, role=st.sampled_from(list(StoreRole)), key=KEYS)
def test_a_role_has_access_only_to_its_tenant(mine: str, theirs: str, role: StoreRole, key: str) -> None:
    assume(mine != theirs)
    document = aws.role_policy(mine, role, BUCKETS, region=REGION, kms_key_arn=KEY)
    for bucket in PURPOSES.values():
        arn = f"arn:aws:s3:::{bucket}"
        for action in ACTIONS:
            assert decision([document], action, f"{arn}/{theirs}/{key}", {}) == "none"
        for prefix in (f"{theirs}/{key}", "", mine):
            assert decision([document], "s3:ListBucket", arn, {"s3:prefix": prefix}) == "none"
        assert decision([document], "s3:ListBucket", arn, {}) == "none", "a bucket's head lists it all"


@given(tenant=NAMES, role=st.sampled_from(list(StoreRole)), key=KEYS)
def test_iam_and_minio_policies_grant_the_same(tenant: str, role: StoreRole, key: str) -> None:
    in_iam = aws.role_policy(tenant, role, BUCKETS, region=REGION, kms_key_arn=KEY)
    in_minio = policy(tenant, role, BUCKETS)
    for bucket in PURPOSES.values():
        arn = f"arn:aws:s3:::{bucket}"
        for resource in (
            f"{arn}/{tenant}/{key}",
            f"{arn}/{tenant}/runs/{key}",
            f"{arn}/{tenant}/m/versions/x",
        ):
            for action in ACTIONS:
                assert decision([in_iam], action, resource, {}) == decision([in_minio], action, resource, {})
        context = {"s3:prefix": f"{tenant}/runs/{key}"}
        decisions = [decision([each], "s3:ListBucket", arn, context) for each in (in_iam, in_minio)]
        assert decisions[0] == decisions[1]


@pytest.mark.parametrize(
    ("role", "bucket", "uses"),
    [
        (StoreRole.SERVER, BUCKETS.models, {"kms:Decrypt"}),
        (StoreRole.SERVER, BUCKETS.artifacts, set()),
        (StoreRole.RUNNER, BUCKETS.artifacts, {"kms:Decrypt", "kms:GenerateDataKey"}),
        (StoreRole.RUNNER, BUCKETS.models, {"kms:Decrypt"}),
        (StoreRole.PROMOTER, BUCKETS.models, {"kms:Decrypt", "kms:GenerateDataKey"}),
        (StoreRole.PROMOTER, BUCKETS.data, {"kms:Decrypt"}),
        (StoreRole.SERVER, BUCKETS.data, set()),
    ],
)
def test_the_kms_key_is_usable_only_through_s3(role: StoreRole, bucket: str, uses: set[str]) -> None:
    document = aws.role_policy("team-a", role, BUCKETS, region=REGION, kms_key_arn=KEY)
    s3_alone = {
        "kms:ViaService": f"s3.{REGION}.amazonaws.com",
        "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket}",
    }
    actions = ("kms:Decrypt", "kms:GenerateDataKey", "kms:ScheduleKeyDeletion")
    assert {each for each in actions if decision([document], each, KEY, s3_alone) == "allow"} == uses
    for context in ({}, s3_alone | {"kms:ViaService": f"ec2.{REGION}.amazonaws.com"}):
        assert not [each for each in actions if decision([document], each, KEY, context) != "none"]


def test_every_action_exists_in_iam() -> None:
    known = {
        "kms:Decrypt",
        "kms:GenerateDataKey",
        *(f"s3:{each}" for each in ("GetBucketLocation", "ListBucket", "ListBucketVersions")),
        *(f"s3:{each}" for each in ("GetLifecycleConfiguration", "GetBucketVersioning")),
        *(f"s3:{each}" for each in ("ListMultipartUploadParts", "AbortMultipartUpload")),
        *(f"s3:{each}" for each in ("GetObject", "PutObject", "DeleteObject")),
        *(f"s3:{each}" for each in ("GetObjectVersion", "DeleteObjectVersion")),
    }
    for role in StoreRole:
        document = aws.role_policy("team-a", role, BUCKETS, region=REGION, kms_key_arn=KEY)
        allowed = [each for each in document["Statement"] if each["Effect"] == "Allow"]
        assert {action for each in allowed for action in each["Action"]} <= known
        assert len(json.dumps(document)) < 10_240, "IAM takes no longer one"


def test_only_the_tenants_service_accounts_assume_roles(engine: AwsEngine) -> None:
    trusted = {}
    for made in engine.of("Role"):
        [statement] = json.loads(made.inputs["assumeRolePolicy"])["Statement"]
        assert statement["Principal"] == {"Federated": IRSA["provider_arn"]}
        assert statement["Action"] == ["sts:AssumeRoleWithWebIdentity"]
        condition = statement["Condition"]["StringEquals"]
        assert condition[f"{ISSUER}:aud"] == "sts.amazonaws.com"
        trusted[made.name] = condition[f"{ISSUER}:sub"]
    assert trusted == {
        f"store-{tenant}-{role}-role": f"system:serviceaccount:{tenant}:{account}"
        for tenant in ("team-a", "team-ab")
        for role, account in ACCOUNTS.items()
    }
    names = [made.inputs["name"] for made in engine.of("Role")]
    assert len(set(names)) == len(names)


def test_people_can_assume_their_declared_roles() -> None:
    people = [{"tenant": "team-a", "role": "promoter", "principal": CI}]
    engine, _ = deploy(people=people)
    extra = inputs(engine, "store-team-a-promoter-role")
    [statement] = json.loads(extra["assumeRolePolicy"])["Statement"]
    assert (statement["Principal"], statement["Action"]) == ({"AWS": [CI]}, ["sts:AssumeRole"])
    assert len(engine.of("Role")) == 7
    shared, _ = deploy(people=[{"tenant": "team-a", "role": "editor", "principal": CI}])
    trust = json.loads(inputs(shared, "store-team-a-editor-role")["assumeRolePolicy"])["Statement"]
    assert [[*each["Principal"]] for each in trust] == [["Federated"], ["AWS"]]


@given(
    tenant=st.from_regex(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True),
    role=st.sampled_from(list(StoreRole)),
)
def test_role_names_are_valid_in_iam(tenant: str, role: StoreRole) -> None:
    assert len(aws.role_name(tenant, role, BUCKETS)) <= 64


def test_with_irsa_the_service_account_has_an_annotation(built: tuple[AwsEngine, s3.S3Store]) -> None:
    store = built[1].handle
    carried = store.credentials.annotations(TENANTS[0], StoreRole.SERVER)
    assert set(carried) == {"eks.amazonaws.com/role-arn"}
    assert store.credentials.annotations(TENANTS[0], StoreRole.PROMOTER) == {}
    assert store.credentials.key(TENANTS[0], StoreRole.SERVER) is None
    assert (store.endpoint, store.internal_endpoint) == (f"https://s3.{REGION}.amazonaws.com",) * 2
    assert (store.keyless, store.path_style, store.tls, store.port) == (True, False, True, 443)
    assert (store.namespace, store.ca_certificate, store.identity_agent) == (None, None, None)


def test_with_pod_identity_an_association_assigns_the_role() -> None:
    engine, store = deploy(identity=POD_IDENTITY)
    association = inputs(engine, "store-team-a-server-association")
    assert association == {
        "clusterName": "team-cluster",
        "namespace": "team-a",
        "serviceAccount": "model-server",
        "roleArn": f"arn:aws:iam::111122223333:role/{aws.role_name('team-a', StoreRole.SERVER, BUCKETS)}",
    }
    assert len(engine.of("PodIdentityAssociation")) == 6
    [statement] = json.loads(inputs(engine, "store-team-a-server-role")["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert statement["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    assert statement["Condition"]["StringEquals"] == {
        "aws:RequestTag/eks-cluster-name": "team-cluster",
        "aws:RequestTag/kubernetes-namespace": "team-a",
        "aws:RequestTag/kubernetes-service-account": "model-server",
    }
    assert store.handle.credentials.annotations(TENANTS[0], StoreRole.SERVER) == {}
    assert store.handle.identity_agent == "169.254.170.23/32"


EVERYTHING = {"Statement": [{"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}]}
OWN_ACCESS = (
    *("iam:CreateAccessKey", "iam:UpdateAccessKey", "iam:CreateUser", "iam:PutRolePolicy", "iam:PassRole"),
    *("sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:GetFederationToken", "sts:GetSessionToken"),
    *("sts:TagSession", "sts:SetSourceIdentity"),
)


@pytest.mark.parametrize("role", StoreRole)
@pytest.mark.parametrize("action", OWN_ACCESS)
def test_no_role_can_change_its_own_access(role: StoreRole, action: str) -> None:
    """The denial also holds if another policy is attached."""
    document = aws.role_policy("team-a", role, BUCKETS, region=REGION, kms_key_arn=KEY)
    for resource in ("*", "arn:aws:iam::111122223333:role/slipway-team-a-promoter"):
        assert decision([document, EVERYTHING], action, resource, {}) == "deny"
        assert decision([EVERYTHING], action, resource, {}) == "allow", "the control"
    read = ("s3:GetObject", f"arn:aws:s3:::{BUCKETS.models}/team-a/x", {})
    assert decision([document], *read) == "allow", "the control"


def test_denials_do_not_prevent_assuming_a_role(engine: AwsEngine) -> None:
    """AssumeRoleWithWebIdentity needs no credentials; only the trust policy governs it."""
    for made in engine.of("Role"):
        trust = json.loads(made.inputs["assumeRolePolicy"])
        assert [statement["Effect"] for statement in trust["Statement"]] == ["Allow"]
        assert [statement["Action"] for statement in trust["Statement"]] == [
            ["sts:AssumeRoleWithWebIdentity"]
        ]
