"""Keys of an external store among a stack's settings: which are wanted, and what they must look like.

They are secrets of the stack, set by standard input so that no list of arguments shows them:

    slipway:storeAdmin    with `administration: minio`: the administrator's key
    slipway:storeKeys     with `administration: none`: every tenant's keys
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from slipway.core.errors import UsageError
from storage.keys import StoreKey
from storage.operator_keys import OperatorKeys, read_admin, read_tenants
from storage.settings import ExternalSettings

ADMIN_KEY: Final = "slipway:storeAdmin"
TENANTS_KEY: Final = "slipway:storeKeys"
KEYS: Final = (ADMIN_KEY, TENANTS_KEY)


@dataclass(frozen=True, kw_only=True)
class OperatorSecrets:
    """What the operator handed over; nothing where the store takes no such key."""

    admin: StoreKey | None = None
    tenants: OperatorKeys | None = None


def wanted(store: object) -> str | None:
    """Return the setting that a store of these settings needs."""
    if not isinstance(store, ExternalSettings):
        return None
    return ADMIN_KEY if store.administration == "minio" else TENANTS_KEY


def require(store: object, present: Mapping[str, Any], file: str, stack: str) -> None:
    """Refuse settings that lack the key which the store needs.

    Raises:
        UsageError: It is missing; says how to set it.
    """
    name = wanted(store)
    if name is not None and name not in present:
        why = {
            ADMIN_KEY: "Slipway makes buckets, policies and users of this store by its administrator's key.",
            TENANTS_KEY: "With `administration: none` you make each tenant's keys.",
        }
        raise UsageError(f"{file}: {name}: missing.", why=why[name], fix=how_to_set(name, stack))


def how_to_set(name: str, stack: str) -> str:
    """Return the command that sets it, and in which form it is read."""
    return (
        f"Run: pulumi config set --secret {name} --stack {stack} < keys.json; "
        "docs/stores.md shows what keys.json holds."
    )


def read(store: object, said: str | None, file: str, tenants: Sequence[str]) -> OperatorSecrets:
    """Return what the operator handed over.

    Args:
        store: The store's settings.
        said: Text of the setting that `wanted` names.
        file: How messages call the stack's file.
        tenants: Of the stack.

    Raises:
        UsageError: A key is missing, malformed, weak or given to two.
    """
    name = wanted(store)
    if name is None:
        return OperatorSecrets()
    where = f"{file}: {name}"
    if name == ADMIN_KEY:
        return OperatorSecrets(admin=read_admin(said or "", where))
    return OperatorSecrets(tenants=read_tenants(said or "", where, tenants))
