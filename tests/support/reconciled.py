"""A store as the reconciling Job leaves it: buckets, policies, and each tenant's keys in every role."""

import io
import json
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from support.minio import Minio

from storage.keys import StoreKey, StoreRole, tenant_key
from storage.reconcile import main

ARTIFACTS, MODELS, DATA = "slipway-artifacts", "slipway-models", "slipway-data"


def run_job(
    server: Minio, folder: Path, desired: str, keys: Iterable[StoreKey], **environment: str
) -> tuple[int, str]:
    """Run the Job as its container would, with these keys to make; return its exit code and its log.

    Args:
        server: The store, by its root key.
        folder: Where the Job's files are written, as the cluster mounts them.
        desired: What the store is to be, as JSON.
        keys: Every key of a tenant that is to exist.
        environment: What differs in the Job's environment.
    """
    users = folder / "users"
    users.mkdir(parents=True, exist_ok=True)
    for former in users.iterdir():
        former.unlink()
    for key in keys:
        (users / key.access_key).write_text(key.secret_key.get_secret_value())
    (folder / "desired.json").write_text(desired)
    root = {
        "S3_ENDPOINT": server.url,
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
    }
    out = io.StringIO()
    code = main(root | environment, desired=folder / "desired.json", users=users, out=out)
    hidden = [server.secret_key, *(user.read_text() for user in users.iterdir())]
    assert not [each for each in hidden if each in out.getvalue()]
    return code, out.getvalue()


class Job:
    """A Job of tenants in every role; keeps what it printed."""

    def __init__(
        self, server: Minio, folder: Path, buckets: Sequence[str] = (ARTIFACTS, MODELS, DATA)
    ) -> None:
        self.server = server
        self.buckets = buckets
        self.folder = folder
        self.stack_secret = secrets.token_hex(16)
        self.output = ""
        self.desired = ""
        self.keys: list[StoreKey] = []

    def wants(self, *tenants: str, generation: int = 1, days: int = 90) -> "Job":
        state = {
            "buckets": [*self.buckets],
            "run_retention_days": days,
            "tenants": [{"name": name, "key_generation": generation} for name in tenants],
        }
        self.desired = json.dumps(state)
        self.keys = [self.key(name, role, generation) for name in tenants for role in StoreRole]
        return self

    def key(self, tenant: str, role: StoreRole, generation: int = 1) -> StoreKey:
        return tenant_key(self.stack_secret, tenant, role, generation)

    def run(self, **changed: str) -> int:
        code, self.output = run_job(self.server, self.folder, self.desired, self.keys, **changed)
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
