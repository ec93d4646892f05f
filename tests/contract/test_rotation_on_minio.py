"""A tenant's keys rotated on a real MinIO: who reads all the way through, and what is dead afterwards."""

import json
import secrets
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from minio.credentials.providers import StaticProvider
from support.minio import Minio, new_minio, start_minio, stop_minio
from support.reconciled import run_job
from support.waiting import PATIENCE_SECONDS, eventually

from slipway.core.errors import FailedError
from storage import credential_verifier
from storage.administration import accounts_of, open_admin
from storage.client import StoreAccess, open_store
from storage.credential_verifier import CredentialVerifier
from storage.keys import StoreKey, StoreRole, root_key, tenant_key
from storage.layout import Buckets
from storage.policy import policy, policy_name
from storage.rotation import KeyState, Phase, rotate
from storage.settings import MinioSettings, StoreTenant

pytestmark = pytest.mark.contract

BUCKETS = Buckets()
MODEL = "team-a/iris/versions/1/model.pkl"


@dataclass
class Platform:
    """A MinIO, the reconcile Job, and one Secret per role: what of a platform a rotation needs."""

    server: Minio
    folder: Path
    stack_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    file: KeyState = field(default_factory=lambda: KeyState(1))
    secret_holds: int = 1
    output: str = ""
    before_job: Callable[[], None] = lambda: None
    after_up: Callable[[], None] = lambda: None

    def key(self, role: StoreRole, generation: int) -> StoreKey:
        return tenant_key(self.stack_secret, "team-a", role, generation)

    def access(self, key: StoreKey) -> StoreAccess:
        return StoreAccess(endpoint=self.server.url, region="us-east-1", key=key)

    @property
    def root(self) -> StoreKey:
        return StoreKey(access_key=self.server.access_key, secret_key=self.server.secret_key)

    @property
    def verifier(self) -> CredentialVerifier:
        return CredentialVerifier(self.access(self.root), BUCKETS, "team-a", patience=PATIENCE_SECONDS)

    def state(self) -> KeyState:
        return self.file

    def record(self, before: KeyState, after: KeyState) -> None:
        assert self.file == before
        self.file = after

    def bring_up(self) -> None:
        """Write what the program writes, run the Job, then change the Secrets."""
        tenant = StoreTenant(
            name="team-a",
            key_generation=self.file.generation,
            former_keys=self.file.phase is Phase.OVERLAP,
        )
        self.before_job()
        if self.reconcile(tenant):
            raise FailedError("`pulumi up` of stack local failed.", why=self.output)
        self.secret_holds = tenant.key_generation
        self.after_up()

    def reconcile(self, tenant: StoreTenant) -> int:
        state = {
            "buckets": [BUCKETS.artifacts, BUCKETS.models, BUCKETS.data],
            "tenants": [tenant.model_dump()],
            "run_retention_days": 90,
        }
        keys = [self.key(role, generation) for generation in tenant.generations for role in StoreRole]
        code, self.output = run_job(self.server, self.folder, json.dumps(state), keys)
        return code

    def move(self, state: KeyState) -> None:
        assert self.secret_holds == state.generation

    def verify_valid(self, generation: int) -> None:
        for role in StoreRole:
            self.verifier.verify_valid(role, self.key(role, generation))

    def accounts(self, generation: int) -> tuple[str, ...]:
        admin = open_admin(self.access(self.root))
        users = [self.key(role, generation).access_key for role in StoreRole]
        return tuple(account for user in users for account in accounts_of(admin, user))

    def verify_revoked(self, generation: int, accounts: tuple[str, ...]) -> None:
        for role in StoreRole:
            self.verifier.verify_revoked(role, self.key(role, generation))
        self.verifier.verify_accounts_revoked(accounts)

    def own_account(self, role: StoreRole, generation: int, name: str) -> StoreKey:
        """Have a user make a service account for itself, as a leaked key could before its denials."""
        key = self.key(role, generation)
        self.without_denials(role)
        secret = secrets.token_urlsafe(24)
        admin = open_admin(self.access(key))
        assert isinstance(admin._provider, StaticProvider)
        admin.add_service_account(access_key=name, secret_key=secret)
        return StoreKey(access_key=name, secret_key=secret)

    def without_denials(self, role: StoreRole) -> None:
        """Set the policy that Slipway wrote before; the next `up` sets today's."""
        admin = open_admin(self.access(self.root))
        admin.policy_add(policy_name("team-a", role), policy=policy("team-a", role, BUCKETS))

    def code(self, key: StoreKey) -> str:
        return credential_verifier.answer(self.access(key), BUCKETS.models, "team-a/")()


@contextmanager
def reading(platform: Platform, role: StoreRole) -> Iterator[list[str]]:
    """Read a model every 50 ms with whichever key the role's Secret holds; yields what failed."""
    stop, failed, count = threading.Event(), [], [0]
    clients: dict[int, Any] = {}

    def read() -> None:
        while not stop.wait(0.05):
            generation = platform.secret_holds
            access = platform.access(platform.key(role, generation))
            client = clients.setdefault(generation, open_store(access))
            try:
                client.get_object(Bucket=BUCKETS.models, Key=MODEL)["Body"].read()
                count[0] += 1
            except Exception as error:  # noqa: BLE001 - any failure is an outage
                failed.append(f"generation {generation}: {error!r}")

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield failed
        before = count[0]
        eventually(lambda: failed or count[0] > before + 5)  # the control: it reads, to the end
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def running(folder: Path) -> Iterator[tuple[Minio, list["subprocess.Popen[bytes]"]]]:
    """A server that a test may kill and start again."""
    server = new_minio()
    processes = [start_minio(server, folder)]
    yield server, processes
    stop_minio(processes[-1])


@pytest.fixture
def platform(running: tuple[Minio, list["subprocess.Popen[bytes]"]], folder: Path) -> Platform:
    made = Platform(running[0], folder)
    assert made.reconcile(StoreTenant(name="team-a")) == 0, made.output
    made.server.client().put_object(Bucket=BUCKETS.models, Key=MODEL, Body=b"weights")
    return made


def test_readers_notice_nothing_and_all_old_keys_are_dead(platform: Platform) -> None:
    old = [platform.own_account(role, 1, f"own-{role}") for role in (StoreRole.SERVER, StoreRole.EDITOR)]
    sessions = boto3.client(
        "sts",
        endpoint_url=platform.server.url,
        region_name="us-east-1",
        aws_access_key_id=platform.key(StoreRole.SERVER, 1).access_key,
        aws_secret_access_key=platform.key(StoreRole.SERVER, 1).secret_key.get_secret_value(),
    )
    session = sessions.assume_role(RoleArn="arn:aws:iam::123456789012:role/x", RoleSessionName="mine")
    borrowed = boto3.client(
        "s3",
        endpoint_url=platform.server.url,
        region_name="us-east-1",
        aws_access_key_id=session["Credentials"]["AccessKeyId"],
        aws_secret_access_key=session["Credentials"]["SecretAccessKey"],
        aws_session_token=session["Credentials"]["SessionToken"],
    )
    borrowed.list_objects_v2(Bucket=BUCKETS.models, Prefix="team-a/")
    assert [platform.code(key) for key in old] == [credential_verifier.OPEN, credential_verifier.OPEN]
    with reading(platform, StoreRole.SERVER) as failed:
        done = rotate(platform)
    assert failed == []
    assert (done.generation, set(done.accounts)) == (2, {"own-server", "own-editor"})
    assert [platform.code(key) for key in old] == [credential_verifier.UNKNOWN, credential_verifier.UNKNOWN]
    for role in StoreRole:
        assert platform.code(platform.key(role, 1)) == credential_verifier.UNKNOWN
    with pytest.raises(ClientError) as refused:
        borrowed.list_objects_v2(Bucket=BUCKETS.models, Prefix="team-a/")
    assert refused.value.response["Error"]["Code"] in {"AccessDenied", "InvalidAccessKeyId"}
    users = json.loads(open_admin(platform.access(platform.root)).user_list())
    assert sorted(users) == sorted(platform.key(role, 2).access_key for role in StoreRole)


def test_each_state_is_reached_once_and_a_rerun_changes_nothing(platform: Platform) -> None:
    for tenant in (
        StoreTenant(name="team-a", key_generation=2, former_keys=True),
        StoreTenant(name="team-a", key_generation=2),
    ):
        assert platform.reconcile(tenant) == 0, platform.output
        assert platform.reconcile(tenant) == 0
        assert platform.output == "the store is as desired; 0 changes\n"


def test_a_file_that_was_put_back_lets_no_dead_key_in(platform: Platform) -> None:
    rotate(platform)
    assert platform.reconcile(StoreTenant(name="team-a", key_generation=1)) == 2
    assert "team-a is to have keys of generation 1" in platform.output
    assert platform.code(platform.key(StoreRole.SERVER, 1)) == credential_verifier.UNKNOWN
    assert platform.code(platform.key(StoreRole.SERVER, 2)) == credential_verifier.OPEN


def test_an_account_of_the_new_user_is_removed_too(platform: Platform) -> None:
    made: list[StoreKey] = []

    def make_one() -> None:
        if not made:
            made.append(platform.own_account(StoreRole.EDITOR, 2, "own-new"))
            assert platform.code(made[0]) == credential_verifier.OPEN, "the control"

    platform.after_up = make_one
    rotate(platform)
    assert platform.code(made[0]) == credential_verifier.UNKNOWN
    assert platform.accounts(2) == ()


def test_a_live_old_key_or_dead_new_key_fails_the_proof(platform: Platform) -> None:
    verifier = replace(platform.verifier, patience=0)
    with pytest.raises(FailedError, match="answered OK when key team-a-server-1"):
        verifier.verify_revoked(StoreRole.SERVER, platform.key(StoreRole.SERVER, 1))
    with pytest.raises(FailedError, match="answered InvalidAccessKeyId when key team-a-server-2"):
        verifier.verify_valid(StoreRole.SERVER, platform.key(StoreRole.SERVER, 2))
    with pytest.raises(FailedError, match="answered OK when key"):
        verifier.verify_valid(StoreRole.SERVER, platform.root)
    account = platform.own_account(StoreRole.SERVER, 1, "own-alive")
    with pytest.raises(FailedError, match="answered SignatureDoesNotMatch when key own-alive"):
        verifier.verify_accounts_revoked([account.access_key])


@pytest.mark.parametrize("which_up", [1, 2])
def test_minio_killed_in_a_rotation_is_a_message(
    platform: Platform,
    running: tuple[Minio, list["subprocess.Popen[bytes]"]],
    monkeypatch: pytest.MonkeyPatch,
    which_up: int,
) -> None:
    from storage.administered_store import Store

    server, processes = running
    ups = [0]

    def kill_once() -> None:
        ups[0] += 1
        if ups[0] == which_up:
            processes[-1].kill()
            processes[-1].wait()

    platform.before_job = kill_once
    with monkeypatch.context() as patch, pytest.raises(FailedError) as failed:
        patch.setattr(Store.wait, "__defaults__", (1.0,))
        rotate(platform)
    assert "did not answer" in str(failed.value)
    # What the Secret holds is known to the store once it is back, whatever was cut off.
    processes.append(start_minio(server, platform.folder))
    assert platform.code(platform.key(StoreRole.SERVER, platform.secret_holds)) == credential_verifier.OPEN
    done = rotate(platform)
    assert (done.generation, done.continued) == (2, True)
    assert platform.code(platform.key(StoreRole.SERVER, 1)) == credential_verifier.UNKNOWN
    assert platform.server.read(BUCKETS.models, MODEL) == b"weights"


def test_another_root_key_leaves_users_and_objects_as_they_are(
    platform: Platform, running: tuple[Minio, list["subprocess.Popen[bytes]"]]
) -> None:
    server, processes = running
    processes[-1].terminate()
    processes[-1].wait()
    new = root_key(platform.stack_secret, 2)
    renewed = replace(server, access_key=new.access_key, secret_key=new.secret_key.get_secret_value())
    processes.append(start_minio(renewed, platform.folder))
    old_root, platform.server = platform.root, renewed
    assert platform.code(old_root) == credential_verifier.UNKNOWN
    assert platform.code(platform.root) == credential_verifier.OPEN
    platform.verify_valid(1)
    assert renewed.read(BUCKETS.models, MODEL) == b"weights"
    assert platform.reconcile(StoreTenant(name="team-a")) == 0
    assert platform.output == "the store is as desired; 0 changes\n"


def test_no_key_is_in_the_desired_state() -> None:
    from storage.desired_state import desired_state

    secret = secrets.token_urlsafe(32)
    tenant = StoreTenant(name="team-a", key_generation=2, former_keys=True)
    text = desired_state(MinioSettings(), (tenant,))
    keys = [tenant_key(secret, "team-a", role, generation) for role in StoreRole for generation in (1, 2)]
    hidden = [secret, *(key.secret_key.get_secret_value() for key in [*keys, root_key(secret)])]
    assert not [each for each in hidden if each in text]
    assert '"former_keys": true' in text
    assert len({key.secret_key.get_secret_value() for key in keys}) == len(keys)
    assert all(len(key.secret_key.get_secret_value()) == 40 for key in keys), "30 bytes, 240 bits"
