"""A store as the reconciling Job leaves it: buckets, policies, and each tenant's keys in every role."""

import io
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from support.minio import Minio

from storage.keys import StoreKey, StoreRole, tenant_key
from storage.reconcile import main

ARTIFACTS, MODELS, DATA = "slipway-artifacts", "slipway-models", "slipway-data"


class Job:
    """Runs the Job as its container would and keeps what it said."""

    def __init__(
        self, server: Minio, folder: Path, buckets: Sequence[str] = (ARTIFACTS, MODELS, DATA)
    ) -> None:
        self.server = server
        self.buckets = buckets
        self.folder = folder
        self.stack_secret = secrets.token_hex(16)
        self.said = ""
        (folder / "users").mkdir(parents=True)

    def wants(self, *tenants: str, generation: int = 1, days: int = 90) -> "Job":
        state = {
            "buckets": [*self.buckets],
            "run_retention_days": days,
            "tenants": [{"name": name, "key_generation": generation} for name in tenants],
        }
        (self.folder / "desired.json").write_text(json.dumps(state))
        for name in tenants:
            for role in StoreRole:
                key = self.key(name, role, generation)
                (self.folder / "users" / key.access_key).write_text(key.secret_key.get_secret_value())
        return self

    def key(self, tenant: str, role: StoreRole, generation: int = 1) -> StoreKey:
        return tenant_key(self.stack_secret, tenant, role, generation)

    def run(self, **changed: str) -> int:
        environment = {
            "S3_ENDPOINT": self.server.url,
            "MINIO_ROOT_USER": self.server.access_key,
            "MINIO_ROOT_PASSWORD": self.server.secret_key,
        } | changed
        out = io.StringIO()
        code = main(environment, desired=self.folder / "desired.json", users=self.folder / "users", out=out)
        self.said = out.getvalue()
        return code

    def client(self, tenant: str, role: StoreRole, generation: int = 1) -> Any:
        key = self.key(tenant, role, generation)
        return boto3.client(
            "s3",
            endpoint_url=self.server.url,
            region_name="us-east-1",
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret_key.get_secret_value(),
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )
