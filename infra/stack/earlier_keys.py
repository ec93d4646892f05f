"""Whether settings would make keys valid that were replaced: a file that was put back, say. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.settings.models import TenantSettings
from slipway.core.errors import UsageError
from storage.settings import MinioSettings, StoreSettings


def refuse_earlier_keys(
    outputs: Mapping[str, Any], file: str, store: StoreSettings, tenants: Sequence[TenantSettings]
) -> None:
    """Compare generations with those that the stack's last `up` brought about.

    Args:
        outputs: Of the stack; empty where it is not up, and without what an earlier Slipway did not tell.
        file: How messages call the stack's file.
        store: The store's settings, as they are now.
        tenants: The tenants, as their files are now.

    Raises:
        UsageError: A generation is an earlier one.
    """
    held = outputs.get("tenants") or {}
    for tenant in tenants:
        known = (held.get(tenant.name) or {}).get("key_generation") or 0
        if tenant.key_generation < known:
            raise UsageError(
                f"tenants/{tenant.name}.yaml: key_generation: {tenant.key_generation} was replaced "
                f"by {known}.",
                why="Its keys are dead, and whoever had them would be let in again.",
                fix=f"Set key_generation: {known}, or rotate: slipway tenant rotate {tenant.name}",
            )
    if not isinstance(store, MinioSettings):
        return
    for name, said, way in (
        ("root_key_generation", store.root_key_generation, "slipway store rotate"),
        ("certificate_generation", store.certificate_generation, "slipway store rotate --certificate"),
    ):
        known = (outputs.get("store") or {}).get(name) or 0
        if said < known:
            raise UsageError(
                f"{file}: store.{name}: {said} was replaced by {known}.",
                why="Whoever holds what was replaced would be let in, or believed, again.",
                fix=f"Set store.{name}: {known}, or replace it: {way}",
            )
