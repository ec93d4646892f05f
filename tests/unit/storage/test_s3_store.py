"""The store on AWS under the recording engine: what is made, who may do what, and what nobody may."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import assume, given
from hypothesis import strategies as st
from pulumi.runtime import mocks
from support.aws_engine import KMS_KEY, AwsEngine
from support.engine import Engine, reveal, secrets_masked
from support.iam import decision
from support.moto_server import running_moto

from storage import aws, s3
from storage.keys import Role
from storage.layout import Buckets
from storage.policy import policy
from storage.settings import S3Settings, StoreTenant

ROOT = Path(__file__).parents[3]
REGION = "eu-central-1"
KEY = KMS_KEY
ISSUER = "oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE"
IRSA = {"kind": "irsa", "provider_arn": f"arn:aws:iam::111122223333:oidc-provider/{ISSUER}"}
POD_IDENTITY = {"kind": "pod-identity", "cluster_name": "team-cluster"}
ACCOUNTS = {Role.RUNNER: "pipeline-runner", Role.SERVER: "model-server", Role.EDITOR: "default-editor"}
TENANTS = (StoreTenant(name="team-a"), StoreTenant(name="team-ab"))
CI = "arn:aws:iam::111122223333:role/ci"
BUCKETS = Buckets(artifacts="x-artifacts", models="x-models", data="x-data")
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


def settings(**changes: object) -> S3Settings:
    said = {"kind": "s3", "region": REGION, "identity": IRSA, "buckets": BUCKETS.model_dump()}
    return S3Settings.model_validate_json(json.dumps(said | changes))


def deploy(**changes: object) -> tuple[AwsEngine, s3.S3Store]:
    made: list[s3.S3Store] = []

    def program() -> None:
        args = s3.S3StoreArgs(settings=settings(**changes), tenants=TENANTS, accounts=ACCOUNTS)
        made.append(s3.S3Store("store", args))

    engine = AwsEngine().deploy(program)
    assert isinstance(engine, AwsEngine)
    return engine, made[0]


@pytest.fixture(scope="module")
def built() -> tuple[AwsEngine, s3.S3Store]:
    return deploy()


@pytest.fixture(scope="module")
def engine(built: tuple[AwsEngine, s3.S3Store]) -> AwsEngine:
    return built[0]


def inputs(engine: Engine, name: str) -> dict[str, Any]:
    found = reveal(engine.one(name).inputs)
    assert isinstance(found, dict)
    return found


PURPOSES = {"artifacts": "x-artifacts", "models": "x-models", "data": "x-data"}


@pytest.mark.parametrize(("purpose", "name"), PURPOSES.items())
def test_every_bucket_is_shut_encrypted_and_versioned(engine: AwsEngine, purpose: str, name: str) -> None:
    assert inputs(engine, f"store-{purpose}")["bucket"] == name
    assert inputs(engine, f"store-{purpose}")["forceDestroy"] is False
    shut = inputs(engine, f"store-{purpose}-public-access")
    assert shut == {
        "bucket": name,
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    }
    assert inputs(engine, f"store-{purpose}-ownership")["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    versions = inputs(engine, f"store-{purpose}-versions")
    assert versions == {"bucket": name, "versioningConfiguration": {"status": "Enabled"}}
    [encryption] = inputs(engine, f"store-{purpose}-encryption")["rules"]
    assert encryption == {
        "applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY},
        "bucketKeyEnabled": True,
        "blockedEncryptionTypes": ["SSE-C"],
    }


def test_runs_expire_models_never_and_abandoned_uploads_go_everywhere(engine: AwsEngine) -> None:
    rules = {
        purpose: {rule["id"]: rule for rule in inputs(engine, f"store-{purpose}-lifecycle")["rules"]}
        for purpose in PURPOSES
    }
    for purpose in PURPOSES:
        abandoned = rules[purpose]["slipway-abandoned-uploads"]
        assert abandoned["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}
    assert rules["artifacts"]["slipway-runs"]["expiration"] == {"days": 90}
    assert set(rules["models"]) == {"slipway-abandoned-uploads"}
    assert "expiration" not in json.dumps(rules["models"]).lower()
    assert rules["data"]["slipway-replaced-data"]["noncurrentVersionExpiration"] == {"noncurrentDays": 30}
    assert not [rule for rule in rules["data"].values() if "expiration" in rule]


@pytest.mark.parametrize("protect", [True, False])
def test_models_data_and_the_key_outlive_a_destroy(monkeypatch: pytest.MonkeyPatch, protect: bool) -> None:
    kept: dict[str, bool] = {}
    register = mocks.MockMonitor.RegisterResource

    def recording(monitor: mocks.MockMonitor, request: Any) -> Any:
        if request.type in ("aws:s3/bucket:Bucket", "aws:kms/key:Key"):
            kept[request.name] = request.protect
        return register(monitor, request)

    monkeypatch.setattr(mocks.MockMonitor, "RegisterResource", recording)
    deploy(protect_buckets=protect)
    lost = {"store-artifacts": False}
    assert kept == {"store-key": protect, "store-models": protect, "store-data": protect} | lost


def test_a_key_of_the_operators_own_is_used_and_none_is_made() -> None:
    own = f"arn:aws:kms:{REGION}:111122223333:key/own"
    engine, _ = deploy(kms_key_arn=own)
    assert not engine.of("Key")
    [rule] = inputs(engine, "store-models-encryption")["rules"]
    assert rule["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"] == own
    assert own in inputs(engine, "store-team-a-server-rights")["policy"]


def test_a_key_that_is_made_is_rotated_and_can_be_saved_for_a_month(engine: AwsEngine) -> None:
    key = inputs(engine, "store-key")
    assert (key["enableKeyRotation"], key["deletionWindowInDays"]) == (True, 30)
    assert inputs(engine, "store-key-alias")["targetKeyId"] == "made"


def documents(engine: Engine) -> dict[str, dict[str, Any]]:
    found = {
        made.name: json.loads(reveal(made.inputs)[field])
        for made in engine.made
        for field in ("policy", "assumeRolePolicy")
        if field in made.inputs
    }
    assert len(found) == 3 + 2 * len(engine.of("Role"))
    return found


def test_only_a_refusal_names_everybody(engine: AwsEngine) -> None:
    for name, document in documents(engine).items():
        for statement in document["Statement"]:
            assert statement.get("Principal") != "*" or statement["Effect"] == "Deny", name
            assert "*" not in statement["Action"], name
            assert statement["Effect"] == "Deny" or "s3:*" not in statement["Action"], name


PUT = ("s3:PutObject", f"arn:aws:s3:::{BUCKETS.models}/team-a/iris/x")
SECURE = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
_KEY_HEADER = "s3:x-amz-server-side-encryption-aws-kms-key-id"


@pytest.mark.parametrize(
    ("said", "refused"),
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
def test_a_bucket_refuses_plain_http_old_tls_and_another_key(
    engine: AwsEngine, said: dict[str, str], refused: bool
) -> None:
    document = documents(engine)["store-models-policy"]
    assert decision([document], *PUT, SECURE | said) == ("deny" if refused else "none")


@given(mine=NAMES, theirs=NAMES, role=st.sampled_from(list(Role)), key=KEYS)
def test_a_role_reaches_its_tenant_and_no_other(mine: str, theirs: str, role: Role, key: str) -> None:
    assume(mine != theirs)
    document = aws.role_policy(mine, role, BUCKETS, region=REGION, kms_key_arn=KEY)
    for bucket in PURPOSES.values():
        arn = f"arn:aws:s3:::{bucket}"
        for action in ACTIONS:
            assert decision([document], action, f"{arn}/{theirs}/{key}", {}) == "none"
        for prefix in (f"{theirs}/{key}", "", mine):
            assert decision([document], "s3:ListBucket", arn, {"s3:prefix": prefix}) == "none"
        assert decision([document], "s3:ListBucket", arn, {}) == "none", "a bucket's head lists it all"


@given(tenant=NAMES, role=st.sampled_from(list(Role)), key=KEYS)
def test_iam_says_the_same_as_minio(tenant: str, role: Role, key: str) -> None:
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
        said = [decision([each], "s3:ListBucket", arn, context) for each in (in_iam, in_minio)]
        assert said[0] == said[1]


@pytest.mark.parametrize(
    ("role", "bucket", "uses"),
    [
        (Role.SERVER, BUCKETS.models, {"kms:Decrypt"}),
        (Role.SERVER, BUCKETS.artifacts, set()),
        (Role.RUNNER, BUCKETS.artifacts, {"kms:Decrypt", "kms:GenerateDataKey"}),
        (Role.RUNNER, BUCKETS.models, {"kms:Decrypt"}),
        (Role.PROMOTER, BUCKETS.models, {"kms:Decrypt", "kms:GenerateDataKey"}),
        (Role.PROMOTER, BUCKETS.data, set()),
    ],
)
def test_the_key_is_used_by_way_of_s3_for_what_the_role_may_read_or_write(
    role: Role, bucket: str, uses: set[str]
) -> None:
    document = aws.role_policy("team-a", role, BUCKETS, region=REGION, kms_key_arn=KEY)
    s3_alone = {
        "kms:ViaService": f"s3.{REGION}.amazonaws.com",
        "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket}",
    }
    actions = ("kms:Decrypt", "kms:GenerateDataKey", "kms:ScheduleKeyDeletion")
    assert {each for each in actions if decision([document], each, KEY, s3_alone) == "allow"} == uses
    for context in ({}, s3_alone | {"kms:ViaService": f"ec2.{REGION}.amazonaws.com"}):
        assert not [each for each in actions if decision([document], each, KEY, context) != "none"]


def test_every_action_is_one_of_iam() -> None:
    known = {
        "kms:Decrypt",
        "kms:GenerateDataKey",
        *(f"s3:{each}" for each in ("GetBucketLocation", "ListBucket", "ListBucketVersions")),
        *(f"s3:{each}" for each in ("GetLifecycleConfiguration", "GetBucketVersioning")),
        *(f"s3:{each}" for each in ("ListMultipartUploadParts", "AbortMultipartUpload")),
        *(f"s3:{each}" for each in ("GetObject", "PutObject", "DeleteObject")),
        *(f"s3:{each}" for each in ("GetObjectVersion", "DeleteObjectVersion")),
    }
    for role in Role:
        document = aws.role_policy("team-a", role, BUCKETS, region=REGION, kms_key_arn=KEY)
        assert {action for each in document["Statement"] for action in each["Action"]} <= known
        assert len(json.dumps(document)) < 10_240, "IAM takes no longer one"


def test_exactly_the_tenants_accounts_take_their_roles(engine: AwsEngine) -> None:
    trusted = {}
    for made in engine.of("Role"):
        [statement] = json.loads(made.inputs["assumeRolePolicy"])["Statement"]
        assert statement["Principal"] == {"Federated": IRSA["provider_arn"]}
        assert statement["Action"] == ["sts:AssumeRoleWithWebIdentity"]
        said = statement["Condition"]["StringEquals"]
        assert said[f"{ISSUER}:aud"] == "sts.amazonaws.com"
        trusted[made.name] = said[f"{ISSUER}:sub"]
    assert trusted == {
        f"store-{tenant}-{role}-role": f"system:serviceaccount:{tenant}:{account}"
        for tenant in ("team-a", "team-ab")
        for role, account in ACCOUNTS.items()
    }
    names = [made.inputs["name"] for made in engine.of("Role")]
    assert len(set(names)) == len(names)


def test_people_take_the_roles_that_they_are_given() -> None:
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
    tenant=st.from_regex(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True), role=st.sampled_from(list(Role))
)
def test_a_role_has_a_name_that_iam_takes(tenant: str, role: Role) -> None:
    assert len(aws.role_name(tenant, role, BUCKETS)) <= 64


def test_with_irsa_the_account_carries_its_role(built: tuple[AwsEngine, s3.S3Store]) -> None:
    store = built[1].handle
    carried = store.credentials.annotations(TENANTS[0], Role.SERVER)
    assert set(carried) == {"eks.amazonaws.com/role-arn"}
    assert store.credentials.annotations(TENANTS[0], Role.PROMOTER) == {}
    assert store.credentials.key(TENANTS[0], Role.SERVER) is None
    assert (store.endpoint, store.internal_endpoint) == (f"https://s3.{REGION}.amazonaws.com",) * 2
    assert (store.keyless, store.path_style, store.tls, store.port) == (True, False, True, 443)
    assert (store.namespace, store.ca_certificate, store.identity_agent) == (None, None, None)


def test_with_pod_identity_an_association_gives_the_role() -> None:
    engine, store = deploy(identity=POD_IDENTITY)
    association = inputs(engine, "store-team-a-server-association")
    assert association == {
        "clusterName": "team-cluster",
        "namespace": "team-a",
        "serviceAccount": "model-server",
        "roleArn": f"arn:aws:iam::111122223333:role/{aws.role_name('team-a', Role.SERVER, BUCKETS)}",
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
    assert store.handle.credentials.annotations(TENANTS[0], Role.SERVER) == {}
    assert store.handle.identity_agent == "169.254.170.23/32"


def test_china_has_its_own_names() -> None:
    engine, store = deploy(region="cn-north-1")
    assert store.handle.endpoint == "https://s3.cn-north-1.amazonaws.com.cn"
    for name, document in documents(engine).items():
        assert "arn:aws:s3" not in json.dumps(document), name
    assert '"arn:aws-cn:s3:::x-models"' in inputs(engine, "store-models-policy")["policy"]


def test_no_secret_is_given_to_anything(engine: AwsEngine) -> None:
    for made in engine.made:
        assert "[secret]" not in secrets_masked(made.inputs), made.name


def test_only_a_stack_with_a_store_on_aws_loads_the_provider() -> None:
    ask = "import sys; import infra.program; print('pulumi_aws' in sys.modules)"
    for also, loaded in (("", "False"), ("; import storage.s3", "True")):
        code = ask.replace("; print", f"{also}; print")
        found = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == loaded


def _api(value: Any) -> Any:
    """Put a recorded document into the words of the S3 API."""
    if isinstance(value, dict):
        return {key[0].upper() + key[1:]: _api(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_api(each) for each in value]
    return int(value) if isinstance(value, float) else value  # the engine's wire knows one kind of number


def test_a_server_of_the_api_takes_every_document(engine: AwsEngine, tmp_path: Path) -> None:
    """moto checks the form of documents, and keeps them; it is not AWS, and enforces none of this."""
    with running_moto(tmp_path) as moto:
        access = {
            "endpoint_url": moto.url,
            "region_name": REGION,
            "aws_access_key_id": moto.access_key,
            "aws_secret_access_key": moto.secret_key,
        }
        client, iam, kms = (boto3.client(each, **access) for each in ("s3", "iam", "kms"))
        made = kms.create_key(Description="x")["KeyMetadata"]["Arn"]
        for purpose, bucket in PURPOSES.items():
            client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
            said = {
                each: inputs(engine, f"store-{purpose}-{each}")
                for each in ("public-access", "ownership", "versions", "encryption", "policy", "lifecycle")
            }
            block = {key: value for key, value in _api(said["public-access"]).items() if key != "Bucket"}
            client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
            client.put_bucket_ownership_controls(
                Bucket=bucket, OwnershipControls={"Rules": [_api(said["ownership"]["rule"])]}
            )
            client.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration=_api(said["versions"]["versioningConfiguration"])
            )
            [rule] = json.loads(json.dumps(said["encryption"]["rules"]).replace(KEY, made))
            default = rule["applyServerSideEncryptionByDefault"]
            client.put_bucket_encryption(
                Bucket=bucket,
                ServerSideEncryptionConfiguration={
                    "Rules": [
                        {
                            "ApplyServerSideEncryptionByDefault": {
                                "SSEAlgorithm": default["sseAlgorithm"],
                                "KMSMasterKeyID": default["kmsMasterKeyId"],
                            },
                            "BucketKeyEnabled": rule["bucketKeyEnabled"],
                        }
                    ]
                },
            )
            client.put_bucket_policy(Bucket=bucket, Policy=said["policy"]["policy"])
            rules = [
                {("ID" if key == "Id" else key): value for key, value in each.items()}
                for each in _api(said["lifecycle"]["rules"])
            ]
            client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
            kept = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
            assert [each["ID"] for each in kept] == [each["ID"] for each in rules]
            assert client.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        for role in engine.of("Role"):
            name = role.inputs["name"]
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=role.inputs["assumeRolePolicy"])
            rights = inputs(engine, role.name.replace("-role", "-rights"))
            iam.put_role_policy(RoleName=name, PolicyName=rights["name"], PolicyDocument=rights["policy"])
        # The control: moto refuses what is no policy.
        with pytest.raises(ClientError) as caught:
            iam.put_role_policy(
                RoleName=name, PolicyName="x", PolicyDocument='{"Statement": [{"Effect": "Maybe"}]}'
            )
        assert caught.value.response["Error"]["Code"] == "MalformedPolicyDocument"
