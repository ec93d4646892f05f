"""Refuses settings that would make replaced keys valid again, such as a restored file. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.settings.models import TenantSettings
from slipway.core.errors import UsageError
from storage.settings import MinioSettings, StoreSettings


def refuse_earlier_keys(
    outputs: Mapping[str, Any], file: str, store: StoreSettings, tenants: Sequence[TenantSettings]
) -> None:
    """Compare generations with those of the stack's last `up`.

    Args:
        outputs: The stack's outputs; empty where it is not up; an earlier Slipway has fewer of them.
        file: The name of the stack's file in messages.
        store: The store's settings, as they are now.
        tenants: The tenants, as their files are now.

    Raises:
        UsageError: A generation is lower than that of the last `up`.
    """
    known_tenants = outputs.get("tenants") or {}
    for tenant in tenants:
        known = (known_tenants.get(tenant.name) or {}).get("key_generation") or 0
        if tenant.key_generation < known:
            raise UsageError(
                f"tenants/{tenant.name}.yaml: key_generation: {tenant.key_generation} was replaced "
                f"by {known}.",
                why="Its keys were revoked; anyone who has them would get access again.",
                fix=f"Set key_generation: {known}, or rotate: slipway tenant rotate {tenant.name}",
            )
    if not isinstance(store, MinioSettings):
        return
    for name, generation, command in (
        ("root_key_generation", store.root_key_generation, "slipway store rotate"),
        ("certificate_generation", store.certificate_generation, "slipway store rotate --certificate"),
    ):
        known = (outputs.get("store") or {}).get(name) or 0
        if generation < known:
            raise UsageError(
                f"{file}: store.{name}: {generation} was replaced by {known}.",
                why="Anyone who has what was replaced would get access, or be trusted, again.",
                fix=f"Set store.{name}: {known}, or replace it: {command}",
            )
