"""The store on AWS under the recording engine, and its documents against moto."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from pulumi.runtime import mocks
from support.aws_engine import AwsEngine
from support.checkout import ROOT
from support.engine import secrets_masked
from support.moto_server import running_moto
from support.s3_store import (
    KEY,
    PURPOSES,
    REGION,
    deploy,
    documents,
    inputs,
)


@pytest.mark.parametrize(("purpose", "name"), PURPOSES.items())
def test_every_bucket_is_private_encrypted_and_versioned(engine: AwsEngine, purpose: str, name: str) -> None:
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


def test_lifecycle_rules_of_each_bucket(engine: AwsEngine) -> None:
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
def test_models_data_and_the_key_are_protected(monkeypatch: pytest.MonkeyPatch, protect: bool) -> None:
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


def test_the_operators_kms_key_is_used() -> None:
    own = f"arn:aws:kms:{REGION}:111122223333:key/own"
    engine, _ = deploy(kms_key_arn=own)
    assert not engine.of("Key")
    [rule] = inputs(engine, "store-models-encryption")["rules"]
    assert rule["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"] == own
    assert own in inputs(engine, "store-team-a-server-rights")["policy"]


def test_a_created_kms_key_rotates_and_has_a_deletion_window(engine: AwsEngine) -> None:
    key = inputs(engine, "store-key")
    assert (key["enableKeyRotation"], key["deletionWindowInDays"]) == (True, 30)
    assert inputs(engine, "store-key-alias")["targetKeyId"] == "made"


def test_china_has_its_own_partition() -> None:
    engine, store = deploy(region="cn-north-1")
    assert store.handle.endpoint == "https://s3.cn-north-1.amazonaws.com.cn"
    for name, document in documents(engine).items():
        assert "arn:aws:s3" not in json.dumps(document), name
    assert '"arn:aws-cn:s3:::x-models"' in inputs(engine, "store-models-policy")["policy"]


def test_no_resource_contains_a_secret(engine: AwsEngine) -> None:
    for made in engine.made:
        assert "[secret]" not in secrets_masked(made.inputs), made.name


def test_only_stacks_on_aws_import_the_provider() -> None:
    ask = "import sys; import infra.program; print('pulumi_aws' in sys.modules)"
    for also, loaded in (("", "False"), ("; import infra.stores.s3", "True")):
        code = ask.replace("; print", f"{also}; print")
        found = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == loaded


def _api(value: Any) -> Any:
    """Convert a recorded document to the S3 API's form."""
    if isinstance(value, dict):
        return {key[0].upper() + key[1:]: _api(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_api(each) for each in value]
    return int(value) if isinstance(value, float) else value  # the engine's wire knows one kind of number


def test_moto_accepts_every_document(engine: AwsEngine, tmp_path: Path) -> None:
    """moto validates and stores documents, but does not enforce them."""
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
            declared = {
                each: inputs(engine, f"store-{purpose}-{each}")
                for each in ("public-access", "ownership", "versions", "encryption", "policy", "lifecycle")
            }
            block = {key: value for key, value in _api(declared["public-access"]).items() if key != "Bucket"}
            client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
            client.put_bucket_ownership_controls(
                Bucket=bucket, OwnershipControls={"Rules": [_api(declared["ownership"]["rule"])]}
            )
            client.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration=_api(declared["versions"]["versioningConfiguration"])
            )
            [rule] = json.loads(json.dumps(declared["encryption"]["rules"]).replace(KEY, made))
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
            client.put_bucket_policy(Bucket=bucket, Policy=declared["policy"]["policy"])
            rules = [
                {("ID" if key == "Id" else key): value for key, value in each.items()}
                for each in _api(declared["lifecycle"]["rules"])
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
