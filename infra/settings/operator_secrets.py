"""The keys of an external store in a stack's settings: which are required, and in what form.

They are secrets of the stack, set through standard input so that no argument list shows them:

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
    """Keys that the operator provided; None where the store needs no such key."""

    admin: StoreKey | None = None
    tenants: OperatorKeys | None = None


def required_key(store: object) -> str | None:
    """Return the setting that holds the key for these store settings; None if they need no key."""
    if not isinstance(store, ExternalSettings):
        return None
    return ADMIN_KEY if store.administration == "minio" else TENANTS_KEY


def require(store: object, present: Mapping[str, Any], file: str, stack: str) -> None:
    """Check that the settings contain the key that the store needs.

    Raises:
        UsageError: It is missing; the message says how to set it.
    """
    name = required_key(store)
    if name is not None and name not in present:
        why = {
            ADMIN_KEY: "Slipway administers this store with its administrator's key.",
            TENANTS_KEY: "With `administration: none` you create each tenant's keys.",
        }
        raise UsageError(f"{file}: {name}: missing.", why=why[name], fix=how_to_set(name, stack))


def how_to_set(name: str, stack: str) -> str:
    """Return the command that sets the key."""
    return (
        f"Run: pulumi config set --secret {name} --stack {stack} < keys.json; "
        "docs/stores.md shows the format of keys.json."
    )


def read(store: object, text: str | None, file: str, tenants: Sequence[str]) -> OperatorSecrets:
    """Return the keys that the operator provided.

    Args:
        store: The store's settings.
        text: Value of the setting that `required_key` names.
        file: Name of the stack's file in messages.
        tenants: Names of the stack's tenants.

    Raises:
        UsageError: A key is missing, malformed, weak or used twice.
    """
    name = required_key(store)
    if name is None:
        return OperatorSecrets()
    where = f"{file}: {name}"
    if name == ADMIN_KEY:
        return OperatorSecrets(admin=read_admin(text or "", where))
    return OperatorSecrets(tenants=read_tenants(text or "", where, tenants))
