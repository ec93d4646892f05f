"""The recording engine, with what only AWS would know."""

from typing import Any

from pulumi.runtime import mocks
from support.engine import Engine

ACCOUNT = "111122223333"
KMS_KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/made"


class AwsEngine(Engine):
    """Gives what AWS makes up: ARNs."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        made, outputs = super().new_resource(args)
        if args.typ == "aws:kms/key:Key":
            outputs |= {"arn": KMS_KEY, "keyId": "made"}
        if args.typ == "aws:iam/role:Role":
            outputs["arn"] = f"arn:aws:iam::{ACCOUNT}:role/{args.inputs['name']}"
        return made, outputs
