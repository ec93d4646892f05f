"""The tenants that the files in tenants/ declare, and their places and keys in the store."""

from dataclasses import dataclass

from infra.contract import TenantOutputs
from infra.settings.config import load_tenant, load_tenants, tenant_file
from infra.settings.models import TenantSettings
from slipway.operations import workspace
from slipway.operations.store_administrator import administered, administrator, service_accounts
from storage.keys import StoreRole


@dataclass(frozen=True)
class TenantKeys:
    """A tenant's places, and the keys that open them."""

    outputs: TenantOutputs
    rotation: str | None
    """Phase of a running rotation."""
    access_keys: tuple[str, ...]
    """Access keys that Slipway created; empty if the store's operator creates them."""
    service_accounts: tuple[str, ...]
    """Access keys that the tenant's users created themselves."""


def declared() -> tuple[TenantSettings, ...]:
    """Return the declared tenants, in order of their names; UsageError if a file has a mistake."""
    return load_tenants(workspace.project() / "tenants")


def show(stack: str, name: str) -> TenantKeys:
    """Return a tenant's places and keys.

    Raises:
        UsageError: There is no such tenant, or the stack is not up.
        FailedError: The store does not answer.
    """
    settings = load_tenant(tenant_file(workspace.project() / "tenants", name))
    platform = workspace.settings(stack)
    opened = workspace.open_stack(stack)
    outputs = opened.outputs()
    place = outputs.tenant(name)
    accounts: dict[int, tuple[str, ...]] = {}
    if (store := administered(platform)) is not None:
        key = administrator(opened, store)
        accounts = {
            generation: service_accounts(outputs, key, name, generation)
            for generation in settings.store_tenant.generations
        }
    return TenantKeys(
        place,
        settings.key_rotation,
        tuple(f"{name}-{role}-{generation}" for generation in sorted(accounts) for role in StoreRole),
        tuple(account for each in accounts.values() for account in each),
    )


__all__ = ["TenantKeys", "TenantSettings", "declared", "show"]
