"""A tenant's keys, replaced on a running platform: files, Pulumi, cluster, pipelines and store in one place.

`storage.rotation` says in which order; here is what each step does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from infra.contract import PlatformOutputs
from infra.settings import yaml_edit
from infra.settings.config import load_tenant, tenant_file
from infra.settings.models import PlatformSettings
from infra.stack.stack import Stack
from pipelines.active_runs import wait_for_earlier
from pipelines.client import open_client
from serving import credentials
from serving.access import store_access
from serving.cluster import Cluster
from slipway.core.errors import FailedError, UsageError
from slipway.core.locks import LockHeldError, locked
from slipway.core.report import Phases, Report, silent
from slipway.operations import workspace
from slipway.operations.choices import RUN_SECONDS
from slipway.operations.store_administrator import (
    Administered,
    administrator,
    require_administered,
    service_accounts,
)
from storage.credential_verifier import CredentialVerifier
from storage.keys import StoreKey, StoreRole, tenant_key
from storage.layout import Buckets
from storage.rotation import KeyState, Rotated, rotate

_GRANULE: Final = timedelta(seconds=5)
"""A Secret's time has whole seconds, and two machines' clocks differ a little."""


def rotate_keys(stack: str, tenant: str, phases: Phases, *, run_seconds: float = RUN_SECONDS) -> Rotated:
    """Replace the keys of one of the project's tenants; raises as `rotate_tenant`."""
    tenant_file(workspace.project() / "tenants", tenant)  # a name that nobody has is refused at once
    settings = workspace.settings(stack)
    with phases("Preparing the tools") as report:
        opened = workspace.open_stack(stack, report)
    with phases(f"Rotate the store keys of {tenant}") as report:
        return rotate_tenant(opened, settings, tenant, report, run_seconds=run_seconds)


def rotate_tenant(
    stack: Stack,
    settings: PlatformSettings,
    tenant: str,
    report: Report = silent,
    *,
    run_seconds: float = RUN_SECONDS,
) -> Rotated:
    """Replace a tenant's keys, or go on with a rotation that was stopped.

    Raises:
        UsageError: The store has no keys of ours, or the platform is not what the files say.
        FailedError: A step failed; what serves goes on, and a rerun continues.
    """
    path = tenant_file(stack.project / "tenants", tenant)
    with _alone(path.parent):
        store = require_administered(settings, stack.name)
        steps = TenantSteps(stack, store, tenant, path, report, run_seconds)
        steps.check()
        return rotate(steps, report)


@dataclass
class TenantSteps:
    """The steps of `storage.rotation`, on one stack."""

    stack: Stack
    store: Administered
    tenant: str
    path: Path
    report: Report = silent
    run_seconds: float = RUN_SECONDS
    _secret: SecretStr | None = field(default=None, repr=False)
    _outputs: PlatformOutputs | None = field(default=None, repr=False)

    def check(self) -> None:
        """Refuse to begin where the platform has other keys than the file says."""
        state, held = self.state(), self._platform().tenant(self.tenant).key_generation
        if state.phase is None and state.generation != held:
            raise UsageError(
                f"{self.path.name} says key_generation {state.generation}, the platform has {held}.",
                fix=f"Run: slipway up {self.stack.name}",
            )

    def state(self) -> KeyState:
        """Return what the tenant's file says."""
        found = load_tenant(self.path)
        return KeyState(found.key_generation, found.key_rotation)

    def record(self, before: KeyState, after: KeyState) -> None:
        """Write `after` to the tenant's file, if it still says `before`."""
        held = yaml_edit.read(self.path)
        if self.state() != before:
            raise FailedError(f"{self.path.name} was changed meanwhile.", fix="Run the command again.")
        name = f"tenants/{self.path.name}"
        text = yaml_edit.edited(held, ("key_generation",), after.generation, name)
        # Two keys of one file, in one step: `write` puts the whole text in place.
        text = yaml_edit.edited(text, ("key_rotation",), after.phase, name)
        yaml_edit.write(self.path, held, text)
        self.report(f"{name}: key_generation {after.generation}, {after.phase or 'no rotation'}")

    def bring_up(self) -> None:
        """Make the platform what the files say."""
        self.report("bringing the platform up")
        self.stack.up()
        self._outputs = None

    def move(self, state: KeyState) -> None:
        """Roll the predictors, then wait for runs that began with the old key."""
        outputs = self._platform()
        place, cluster = outputs.tenant(self.tenant), Cluster.of(outputs)
        if place.server_secret is None or place.runner_secret is None:
            raise UsageError("The store is keyless: there is nothing to rotate.")
        self._held(cluster, StoreRole.SERVER, state.generation)
        checksum = credentials.checksum(cluster.read_secret(place.namespace, place.server_secret))
        moved = credentials.roll(cluster, place.namespace, checksum, report=self.report)
        self.report(f"{len(moved)} predictors hold generation {state.generation}")
        wait_for_earlier(
            open_client(outputs, self.tenant),
            place.namespace,
            cluster.changed_at(place.namespace, place.runner_secret) + _GRANULE,
            report=self.report,
            timeout=self.run_seconds,
        )

    def verify_valid(self, generation: int) -> None:
        """Use the key that each role's Secret holds."""
        cluster, verifier = Cluster.of(self._platform()), self._verifier()
        for role in StoreRole:
            verifier.verify_valid(role, self._held(cluster, role, generation))
        self.report(f"generation {generation} opens what it should, in every role")

    def accounts(self, generation: int) -> tuple[str, ...]:
        """Return the access keys that users of the generation made for themselves."""
        key = administrator(self.stack, self.store)
        return service_accounts(self._platform(), key, self.tenant, generation)

    def verify_revoked(self, generation: int, accounts: tuple[str, ...]) -> None:
        """Use each role's old key, and each of the accounts'."""
        verifier = self._verifier()
        for role in StoreRole:
            verifier.verify_revoked(role, tenant_key(self._stack_secret(), self.tenant, role, generation))
        verifier.verify_accounts_revoked(accounts)
        also = f", and {len(accounts)} service accounts" if accounts else ""
        self.report(f"generation {generation} is unknown to the store, in every role{also}")

    def _held(self, cluster: Cluster, role: StoreRole, generation: int) -> StoreKey:
        """Return the key in the role's Secret; raises FailedError where it is of another generation."""
        place = self._platform().tenant(self.tenant)
        name = str(getattr(place, f"{role}_secret"))
        held = cluster.read_secret(place.namespace, name)
        wanted = tenant_key(self._stack_secret(), self.tenant, role, generation)
        key = StoreKey(
            access_key=held.get("AWS_ACCESS_KEY_ID", ""),
            secret_key=SecretStr(held.get("AWS_SECRET_ACCESS_KEY", "")),
        )
        if key != wanted:
            raise FailedError(
                f"Secret {place.namespace}/{name} does not hold the key of generation {generation}.",
                why=f"It holds {key.access_key or 'none'}.",
                fix="Run the command again; if it stays so, run `slipway up` and look at what it changes.",
            )
        return key

    def _verifier(self) -> CredentialVerifier:
        outputs = self._platform()
        return CredentialVerifier(
            store_access(outputs, self.tenant, "editor"), buckets_of(outputs), self.tenant
        )

    def _platform(self) -> PlatformOutputs:
        if self._outputs is None:
            self._outputs = self.stack.outputs()
        return self._outputs

    def _stack_secret(self) -> str:
        if self._secret is None:
            self._secret = self.stack.secret()
        return self._secret.get_secret_value()


def buckets_of(outputs: PlatformOutputs) -> Buckets:
    """Return the buckets that the outputs name."""
    store = outputs.store
    return Buckets(artifacts=store.artifacts_bucket, models=store.models_bucket, data=store.data_bucket)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one rotation at a time work on the tenants' files of this checkout."""
    try:
        with locked(folder, folder=True, wait=False):
            yield
    except LockHeldError:
        raise UsageError(
            "Another rotation is under way in this checkout.", fix="Wait for it to end."
        ) from None
