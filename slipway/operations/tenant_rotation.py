"""Replaces a tenant's keys on a running platform: in files, Pulumi, cluster, pipelines and store.

`storage.rotation` defines the order of the steps; this module carries out each step.
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
"""Margin for a Secret's time, which has whole seconds, and for clocks that differ."""


def rotate_keys(stack: str, tenant: str, phases: Phases, *, run_seconds: float = RUN_SECONDS) -> Rotated:
    """Replace the keys of one of the project's tenants; raises as `rotate_tenant`."""
    tenant_file(workspace.project() / "tenants", tenant)  # refuses an unknown name at once
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
    """Replace a tenant's keys, or continue an interrupted rotation.

    Raises:
        UsageError: Slipway does not manage the store's keys, or the platform differs from the files.
        FailedError: A step failed; models are still served, and a rerun continues.
    """
    path = tenant_file(stack.project / "tenants", tenant)
    with _exclusive(path.parent):
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
        """Refuse to begin if the platform has other keys than the file says."""
        state, deployed = self.state(), self._platform().tenant(self.tenant).key_generation
        if state.phase is None and state.generation != deployed:
            raise UsageError(
                f"{self.path.name} says key_generation {state.generation}, the platform has {deployed}.",
                fix=f"Run: slipway up {self.stack.name}",
            )

    def state(self) -> KeyState:
        """Return the state in the tenant's file."""
        settings = load_tenant(self.path)
        return KeyState(settings.key_generation, settings.key_rotation)

    def record(self, before: KeyState, after: KeyState) -> None:
        """Write `after` to the tenant's file, if it still says `before`."""
        original = yaml_edit.read(self.path)
        if self.state() != before:
            raise FailedError(
                f"{self.path.name} was changed during the rotation.", fix="Run the command again."
            )
        name = f"tenants/{self.path.name}"
        text = yaml_edit.edited(original, ("key_generation",), after.generation, name)
        # Both fields change in one step: `write` replaces the whole file.
        text = yaml_edit.edited(text, ("key_rotation",), after.phase, name)
        yaml_edit.write(self.path, original, text)
        self.report(f"{name}: key_generation {after.generation}, {after.phase or 'no rotation'}")

    def bring_up(self) -> None:
        """Deploy the platform as the files describe it."""
        self.report("bringing the platform up")
        self.stack.up()
        self._outputs = None

    def move(self, state: KeyState) -> None:
        """Roll the predictors, then wait for runs that started with the old key."""
        outputs = self._platform()
        tenant, cluster = outputs.tenant(self.tenant), Cluster.of(outputs)
        if tenant.server_secret is None or tenant.runner_secret is None:
            raise UsageError("The store is keyless: there is nothing to rotate.")
        self._deployed_key(cluster, StoreRole.SERVER, state.generation)
        checksum = credentials.checksum(cluster.read_secret(tenant.namespace, tenant.server_secret))
        predictors = credentials.roll(cluster, tenant.namespace, checksum, report=self.report)
        self.report(f"{len(predictors)} predictors hold generation {state.generation}")
        wait_for_earlier(
            open_client(outputs, self.tenant),
            tenant.namespace,
            cluster.changed_at(tenant.namespace, tenant.runner_secret) + _GRANULE,
            report=self.report,
            timeout=self.run_seconds,
        )

    def verify_valid(self, generation: int) -> None:
        """Test the key in each role's Secret: it must open what its role allows."""
        cluster, verifier = Cluster.of(self._platform()), self._verifier()
        for role in StoreRole:
            verifier.verify_valid(role, self._deployed_key(cluster, role, generation))
        self.report(f"generation {generation} has the expected access, in every role")

    def accounts(self, generation: int) -> tuple[str, ...]:
        """Return the access keys that users of the generation created themselves."""
        key = administrator(self.stack, self.store)
        return service_accounts(self._platform(), key, self.tenant, generation)

    def verify_revoked(self, generation: int, accounts: tuple[str, ...]) -> None:
        """Test each role's old key and each account's: the store must refuse them."""
        verifier = self._verifier()
        for role in StoreRole:
            verifier.verify_revoked(role, tenant_key(self._stack_secret(), self.tenant, role, generation))
        verifier.verify_accounts_revoked(accounts)
        also = f", and {len(accounts)} service accounts" if accounts else ""
        self.report(f"generation {generation} is unknown to the store, in every role{also}")

    def _deployed_key(self, cluster: Cluster, role: StoreRole, generation: int) -> StoreKey:
        """Return the key in the role's Secret; FailedError if it is of another generation."""
        place = self._platform().tenant(self.tenant)
        name = str(getattr(place, f"{role}_secret"))
        secret = cluster.read_secret(place.namespace, name)
        expected = tenant_key(self._stack_secret(), self.tenant, role, generation)
        key = StoreKey(
            access_key=secret.get("AWS_ACCESS_KEY_ID", ""),
            secret_key=SecretStr(secret.get("AWS_SECRET_ACCESS_KEY", "")),
        )
        if key != expected:
            raise FailedError(
                f"Secret {place.namespace}/{name} does not hold the key of generation {generation}.",
                why=f"It holds {key.access_key or 'none'}.",
                fix="Run the command again; if it fails again, run `slipway up` and check what it changes.",
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
            self._secret = self.stack.stack_settings.secret()
        return self._secret.get_secret_value()


def buckets_of(outputs: PlatformOutputs) -> Buckets:
    """Return the buckets that the outputs name."""
    store = outputs.store
    return Buckets(artifacts=store.artifacts_bucket, models=store.models_bucket, data=store.data_bucket)


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Allow one rotation at a time on the tenants' files of this checkout."""
    try:
        with locked(folder, folder=True, wait=False):
            yield
    except LockHeldError:
        raise UsageError(
            "Another rotation is under way in this checkout.", fix="Wait for it to end."
        ) from None
