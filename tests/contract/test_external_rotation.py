"""A tenant's keys rotated in a MinIO that somebody else runs: the command's own steps, a real store."""

import io
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr
from support.minio import Minio, running_minio
from support.platform import outputs
from support.reconciled import run_job

from infra.contract import PlatformOutputs
from infra.settings.config import SECRET_KEY, load_tenant
from infra.settings.models import PlatformSettings
from infra.settings.operator_secrets import ADMIN_KEY, TENANTS_KEY
from infra.stack.stack import Stack
from serving import access
from slipway.core.errors import FailedError, UsageError
from slipway.operations import tenant_rotation
from slipway.operations.store_administrator import require_own
from slipway.operations.tenant_rotation import rotate_tenant
from storage import credential_verifier, external_check
from storage.administered_store import Store
from storage.administration import open_admin
from storage.client import StoreAccess
from storage.desired_state import desired_state
from storage.keys import StoreKey, StoreRole, tenant_key
from storage.layout import Buckets
from storage.policy import policy, policy_name
from storage.settings import ExternalSettings, MinioSettings, StoreTenant

pytestmark = pytest.mark.contract

BUCKETS = Buckets(artifacts="ext-artifacts", models="ext-models", data="ext-data")
MOMENTS = 8
"""How often a rotation asks whether it is killed: three times in each of two ups, and in each move."""


class KilledError(BaseException):
    """The process is gone."""


class Settings:
    """Of a stack, as far as a rotation reads them."""

    def __init__(self, store: ExternalSettings | MinioSettings) -> None:
        self.store = store


@dataclass
class Platform:
    """A stack over a real store: what `up` does there is done by the Job's own programs."""

    server: Minio
    project: Path
    tenant: str
    checks: bool = False
    name: str = "dev"
    held: int = 1
    """Generation that the tenant's Secrets hold."""

    moments: int = 1 << 30
    key: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    output: str = ""
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.project / "tenants").mkdir(parents=True)
        self.file.write_text(f"name: {self.tenant}\nkey_generation: 1\n")

    @property
    def file(self) -> Path:
        return self.project / "tenants" / "it.yaml"

    @property
    def settings(self) -> Path:
        return self.project / "Pulumi.dev.yaml"

    @property
    def store(self) -> ExternalSettings:
        return ExternalSettings(
            kind="external",
            endpoint=self.server.url,
            buckets=BUCKETS,
            administration="minio",
            lifecycle="slipway",
        )

    def moment(self) -> None:
        self.moments -= 1
        if self.moments < 0:
            raise KilledError

    @property
    def stack_settings(self) -> "Platform":
        return self

    def secret(self, name: str = SECRET_KEY) -> SecretStr:
        self.asked.append(name)
        admin = {"access_key": self.server.access_key, "secret_key": self.server.secret_key}
        return SecretStr({SECRET_KEY: self.key, ADMIN_KEY: json.dumps(admin)}[name])

    def up(self) -> None:
        """Run the Job, then change the tenant's Secrets."""
        found = load_tenant(self.file).store_tenant
        self.moment()
        self.job(found)
        self.moment()
        self.held = found.key_generation
        self.moment()

    def job(self, tenant: StoreTenant) -> None:
        folder = self.project / "job"
        keys = [self.of(role, generation) for generation in tenant.generations for role in StoreRole]
        code, self.output = run_job(self.server, folder, desired_state(self.store, (tenant,)), keys)
        if self.checks and not code:
            current = {role: self.of(role, tenant.key_generation) for role in StoreRole}
            plain = {
                role: {"access_key": key.access_key, "secret_key": key.secret_key.get_secret_value()}
                for role, key in current.items()
            }
            (folder / "keys.json").write_text(json.dumps({self.tenant: plain}))
            out = io.StringIO()
            code = external_check.main(
                {"S3_ENDPOINT": self.server.url},
                desired=folder / "desired.json", keys=folder / "keys.json", ca=folder / "none", out=out,
            )  # fmt: skip
            self.output += out.getvalue()
        if code:
            raise FailedError("`pulumi up` of stack dev failed.", why=self.output)

    def of(self, role: StoreRole, generation: int) -> StoreKey:
        return tenant_key(self.key, self.tenant, role, generation)

    def outputs(self) -> PlatformOutputs:
        known = outputs(self.server.url, stack=self.name, environment="dev")
        place = known.tenants["team-a"].model_copy(
            update={
                "namespace": self.tenant,
                "key_generation": self.held,
                **{f"{role}_secret": f"store-{role}" for role in StoreRole},
            }
        )
        names = {f"{purpose}_bucket": name for purpose, name in BUCKETS.model_dump().items()}
        store = known.store.model_copy(update={"kind": "external", **names})
        return known.model_copy(update={"store": store, "tenants": {self.tenant: place}})

    def rotate(self) -> Any:
        return rotate_tenant(cast("Stack", self), cast("PlatformSettings", Settings(self.store)), self.tenant)

    def code(self, key: StoreKey) -> str:
        at = StoreAccess(endpoint=self.server.url, region="us-east-1", key=key)
        return credential_verifier.answer(at, BUCKETS.models, f"{self.tenant}/")()

    def opens(self, generation: int) -> str:
        return self.code(self.of(StoreRole.SERVER, generation))


class Secrets:
    """The cluster, as far as a rotation looks into it."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def read_secret(self, namespace: str, name: str) -> dict[str, str]:
        assert namespace == self.platform.tenant
        key = self.platform.of(StoreRole(name.removeprefix("store-")), self.platform.held)
        secret = key.secret_key.get_secret_value()
        return {"AWS_ACCESS_KEY_ID": key.access_key, "AWS_SECRET_ACCESS_KEY": secret}

    def changed_at(self, namespace: str, name: str) -> datetime:
        return datetime.now(UTC)

    def list_names(self, namespace: str) -> tuple[str, ...]:
        self.platform.moment()
        return ()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    with running_minio(tmp_path_factory.mktemp("minio")) as running:
        yield running


@pytest.fixture
def make(server: Minio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Platform]:
    """A platform that is up with keys of generation 1."""

    def platform(tenant: str, **options: Any) -> Platform:
        made = Platform(server, tmp_path / "project", tenant, **options)
        for module in (tenant_rotation, access):
            monkeypatch.setattr(module.Cluster, "of", lambda _: Secrets(made))
        monkeypatch.setattr(tenant_rotation, "open_client", lambda *_: None)
        monkeypatch.setattr(tenant_rotation, "wait_for_earlier", lambda *_, **__: made.moment())
        made.up()
        return made

    return platform


def test_keys_are_replaced_by_the_operators_administrator(
    make: Callable[..., Platform], server: Minio
) -> None:
    platform = make("team-a", checks=True)
    foreign = Store(server.access)
    foreign.admin.user_add("somebody-else", secrets.token_urlsafe(20))
    own = StoreKey(access_key="own-leaked", secret_key=SecretStr(secrets.token_urlsafe(20)))
    maker = StoreAccess(endpoint=server.url, region="us-east-1", key=platform.of(StoreRole.SERVER, 1))
    role = policy_name("team-a", StoreRole.SERVER)
    foreign.admin.policy_add(role, policy=policy("team-a", StoreRole.SERVER, BUCKETS))
    open_admin(maker).add_service_account(
        access_key=own.access_key, secret_key=own.secret_key.get_secret_value()
    )
    assert (platform.opens(1), platform.code(own)) == (credential_verifier.OPEN, credential_verifier.OPEN), (
        "the control"
    )
    done = platform.rotate()
    assert (done.generation, done.continued, done.accounts) == (2, False, ("own-leaked",))
    for role in StoreRole:
        assert platform.code(platform.of(role, 1)) == credential_verifier.UNKNOWN
    assert (platform.opens(2), platform.code(own)) == (credential_verifier.OPEN, credential_verifier.UNKNOWN)
    assert "somebody-else" in json.loads(foreign.admin.user_list()), "what others made stays"
    assert platform.file.read_text() == f"name: {platform.tenant}\nkey_generation: 2\n"
    assert "each tenant's keys" in platform.output, "the Job tested the new keys too"
    assert ADMIN_KEY in platform.asked


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_killed_anywhere_the_held_key_opens(make: Callable[..., Platform], moment: int) -> None:
    platform = make(f"killed-{moment}")
    platform.moments = moment
    with pytest.raises(KilledError):
        platform.rotate()
    assert platform.opens(platform.held) == credential_verifier.OPEN
    platform.moments = 1 << 30
    done = platform.rotate()
    assert (done.generation, done.continued) == (2, True)
    assert (platform.held, platform.opens(1), platform.opens(2)) == (
        2,
        credential_verifier.UNKNOWN,
        credential_verifier.OPEN,
    )


def test_a_rotation_has_no_more_moments_than_are_tried(make: Callable[..., Platform]) -> None:
    platform = make("counted")
    platform.moments = MOMENTS
    assert platform.rotate().generation == 2
    assert platform.moments == 0


def test_a_wrong_administrators_key_keeps_the_old_key(
    make: Callable[..., Platform], monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = make("wrong-key")
    wrong = json.dumps({"access_key": platform.server.access_key, "secret_key": secrets.token_urlsafe(20)})
    real = platform.secret
    with monkeypatch.context() as patch:
        patch.setattr(
            Platform, "secret", lambda _, name=SECRET_KEY: SecretStr(wrong) if name == ADMIN_KEY else real()
        )
        with pytest.raises(FailedError, match="Could not list the service accounts of wrong-key") as refused:
            platform.rotate()
    assert "slipway:storeAdmin" in refused.value.fix
    assert json.loads(wrong)["secret_key"] not in str(refused.value)
    assert load_tenant(platform.file).key_rotation is None
    assert (platform.opens(1), platform.opens(2)) == (
        credential_verifier.OPEN,
        credential_verifier.UNKNOWN,
    ), "nothing changed"
    assert platform.rotate().generation == 2


def test_an_operators_own_keys_are_refused_by_name(
    make: Callable[..., Platform],
) -> None:
    platform = make("by-hand")
    before = platform.file.read_text()
    none = platform.store.model_copy(update={"administration": "none", "lifecycle": "operator"})
    with pytest.raises(UsageError, match="managed by its operator") as refused:
        rotate_tenant(cast("Stack", platform), cast("PlatformSettings", Settings(none)), "by-hand")
    assert TENANTS_KEY in refused.value.fix
    assert "slipway up dev" in refused.value.fix
    assert platform.file.read_text() == before
    assert platform.opens(1) == credential_verifier.OPEN


def test_an_external_administrator_is_not_replaced(make: Callable[..., Platform]) -> None:
    store = make("administrator").store
    with pytest.raises(UsageError, match="kind 'external'") as refused:
        require_own(cast("PlatformSettings", Settings(store)))
    assert ADMIN_KEY in refused.value.fix
    own = MinioSettings()
    assert require_own(cast("PlatformSettings", Settings(own))) is own, "the control"
