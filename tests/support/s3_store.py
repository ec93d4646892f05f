"""A store on AWS under the recording engine, and what it made."""

import json
from typing import Any

from support.aws_engine import KMS_KEY, AwsEngine
from support.engine import Engine, reveal

from infra.stores import s3
from storage.keys import StoreRole
from storage.layout import Buckets
from storage.settings import S3Settings, StoreTenant

REGION = "eu-central-1"
KEY = KMS_KEY
ISSUER = "oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE"
IRSA = {"kind": "irsa", "provider_arn": f"arn:aws:iam::111122223333:oidc-provider/{ISSUER}"}
POD_IDENTITY = {"kind": "pod-identity", "cluster_name": "team-cluster"}
ACCOUNTS = {
    StoreRole.RUNNER: "pipeline-runner",
    StoreRole.SERVER: "model-server",
    StoreRole.EDITOR: "default-editor",
}
TENANTS = (StoreTenant(name="team-a"), StoreTenant(name="team-ab"))
CI = "arn:aws:iam::111122223333:role/ci"
BUCKETS = Buckets(artifacts="x-artifacts", models="x-models", data="x-data")
PURPOSES = {"artifacts": "x-artifacts", "models": "x-models", "data": "x-data"}


def settings(**changes: object) -> S3Settings:
    plain = {"kind": "s3", "region": REGION, "identity": IRSA, "buckets": BUCKETS.model_dump()}
    return S3Settings.model_validate_json(json.dumps(plain | changes))


def deploy(**changes: object) -> tuple[AwsEngine, s3.S3Store]:
    made: list[s3.S3Store] = []

    def program() -> None:
        args = s3.S3StoreArgs(settings=settings(**changes), tenants=TENANTS, accounts=ACCOUNTS)
        made.append(s3.S3Store("store", args))

    engine = AwsEngine().deploy(program)
    assert isinstance(engine, AwsEngine)
    return engine, made[0]


def inputs(engine: Engine, name: str) -> dict[str, Any]:
    found = reveal(engine.one(name).inputs)
    assert isinstance(found, dict)
    return found


def documents(engine: Engine) -> dict[str, dict[str, Any]]:
    found = {
        made.name: json.loads(reveal(made.inputs)[field])
        for made in engine.made
        for field in ("policy", "assumeRolePolicy")
        if field in made.inputs
    }
    assert len(found) == 3 + 2 * len(engine.of("Role"))
    return found
