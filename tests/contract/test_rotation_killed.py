"""A rotation cut off in the middle, by MinIO's death or the Job's: no reader notices, and a rerun ends it."""

import json
import secrets
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.faulty_store import Fault, FaultyStore, faulty_store
from support.minio import Minio
from support.mortal_minio import MortalMinio, mortal_minio
from support.reconciled import run_job

from storage.administered_store import Store
from storage.client import StoreAccess, open_store
from storage.keys import StoreKey, StoreRole, tenant_key

pytestmark = pytest.mark.contract


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MortalMinio]:
    with mortal_minio(tmp_path / "minio") as minio:
        yield minio


@pytest.fixture
def proxy(store: MortalMinio) -> Iterator[FaultyStore]:
    with faulty_store(store.server.endpoint) as between:
        yield between


BUCKETS = ("slipway-artifacts", "slipway-models", "slipway-data")


class Rotation:
    """The reconcile Job as its container runs it, over the steps of a rotation."""

    def __init__(self, minio: Minio, folder: Path) -> None:
        self.minio = minio
        self.folder = folder
        self.secret = secrets.token_hex(16)
        self.output = ""
        self.desired = ""

    def key(self, role: StoreRole, generation: int) -> StoreKey:
        return tenant_key(self.secret, "team-a", role, generation)

    def wants(self, generation: int, *, former_keys: bool = False) -> None:
        tenant = {"name": "team-a", "key_generation": generation, "former_keys": former_keys}
        state = {"buckets": BUCKETS, "run_retention_days": 90, "tenants": [tenant]}
        self.desired = json.dumps(state)

    def run(self, url: str = "") -> int:
        keys = [self.key(role, generation) for role, generation in product(StoreRole, (1, 2))]
        changed = {"S3_ENDPOINT": url} if url else {}
        code, self.output = run_job(self.minio, self.folder, self.desired, keys, **changed)
        return code

    def opens(self, generation: int) -> set[StoreRole]:
        """Roles whose key of this generation lists the tenant's models, as each may."""
        return {role for role in StoreRole if self._opens(role, generation)}

    def _opens(self, role: StoreRole, generation: int) -> bool:
        key = self.key(role, generation)
        access = StoreAccess(endpoint=self.minio.url, region="us-east-1", key=key)
        client = open_store(access, retries=0)
        try:
            client.list_objects_v2(Bucket=BUCKETS[1], Prefix="team-a/")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidAccessKeyId"
            return False
        return True


@pytest.fixture
def rotation(store: MortalMinio, tmp_path: Path) -> Rotation:
    job = Rotation(store.server, tmp_path / "job")
    job.wants(1)
    assert job.run() == 0, job.output
    assert (job.opens(1), job.opens(2)) == (set(StoreRole), set())
    return job


@pytest.mark.parametrize("answered", [True, False], ids=["after it", "before it"])
@pytest.mark.parametrize("passed", [0, 2])
@pytest.mark.parametrize("step", ["add-user", "remove-user"])
@pytest.mark.parametrize("overlapping", [True, False], ids=["two steps", "one step"])
def test_a_store_killed_in_a_rotation_takes_one_of_the_keys(
    store, proxy, rotation, overlapping, step, passed, answered
):
    if overlapping:
        rotation.wants(2, former_keys=True)
    else:
        rotation.wants(2)
    if overlapping and step == "remove-user":
        assert rotation.run() == 0, rotation.output
        assert rotation.opens(1) == rotation.opens(2) == set(StoreRole)
        rotation.wants(2)
    fault = Fault(path=f"/{step}", times=1, lose_answer=answered)
    fault.before, fault.after = (None, store.kill) if answered else (store.kill, None)
    proxy.faults = [Fault(path=f"/{step}", times=passed), fault]
    assert rotation.run(proxy.url) == 1
    assert fault.times == 0, "it was killed where it should be"
    store.start()
    kept = 1 if step == "add-user" else 2
    assert rotation.opens(kept) == set(StoreRole), f"no reader of generation {kept} notices"
    assert rotation.run() == 0, rotation.output
    assert rotation.opens(2) == set(StoreRole)
    assert rotation.opens(1) == (set(StoreRole) if overlapping and step == "add-user" else set())
    assert rotation.run() == 0
    assert rotation.output == "the store is as desired; 0 changes\n"


class KilledError(BaseException):
    """Stands for a Job's process that is gone."""


@pytest.mark.parametrize("step", ["user_add", "user_remove"])
def test_a_job_killed_during_a_rotation_is_ended_by_the_next(rotation, monkeypatch, step):
    def gone(*arguments: object) -> None:
        raise KilledError

    reached = Store.__init__

    def killed_at_the_step(self: Store, *arguments: Any) -> None:
        reached(self, *arguments)
        setattr(self.admin, step, gone)

    rotation.wants(2)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "__init__", killed_at_the_step)
        with pytest.raises(KilledError):
            rotation.run()
    assert rotation.opens(1) == set(StoreRole)
    assert rotation.opens(2) == (set(StoreRole) if step == "user_remove" else set())
    assert rotation.run() == 0, rotation.output
    assert (rotation.opens(1), rotation.opens(2)) == (set(), set(StoreRole))
