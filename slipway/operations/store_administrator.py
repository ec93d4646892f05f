"""Who administers a stack's store: Slipway, or the operator of an external store."""

from dataclasses import replace

from infra.contract import PlatformOutputs
from infra.settings import operator_secrets
from infra.settings.models import PlatformSettings
from infra.stack.stack import Stack
from serving.access import store_access
from slipway.core.errors import UsageError
from storage.administration import accounts_of, administering, open_admin
from storage.client import StoreAccess
from storage.keys import StoreKey, StoreRole, root_key
from storage.settings import ExternalSettings, MinioSettings

Administered = MinioSettings | ExternalSettings
"""Settings of a store whose users Slipway creates."""


def administered(settings: PlatformSettings) -> Administered | None:
    """Return the settings of the store if Slipway creates its users, else None."""
    store = settings.store
    if isinstance(store, MinioSettings):
        return store
    return store if isinstance(store, ExternalSettings) and store.administration == "minio" else None


def require_administered(settings: PlatformSettings, stack: str) -> Administered:
    """Return the settings of a store whose users Slipway creates.

    Raises:
        UsageError: The store's operator creates them, or there are none; says how to replace keys.
    """
    if (store := administered(settings)) is not None:
        return store
    if isinstance(settings.store, ExternalSettings):
        raise UsageError(
            "The tenants' keys of this store are managed by its operator, not by Slipway.",
            why="With `administration: none`, Slipway can't revoke an old key.",
            fix="Create new users beside the old ones. "
            f"{operator_secrets.how_to_set(operator_secrets.TENANTS_KEY, stack)} "
            f"Then run `slipway up {stack}`, wait for runs that started before, and remove the old users.",
        )
    raise UsageError("A store on AWS has no keys: there is nothing to rotate.")


def require_own(settings: PlatformSettings) -> MinioSettings:
    """Return the settings of the stack's own store; UsageError for any other."""
    if isinstance(settings.store, MinioSettings):
        return settings.store
    raise UsageError(
        f"A store of kind {settings.store.kind!r} has no administrator or certificate of Slipway's.",
        why="The store's operator replaces them.",
        fix="For an external store, set slipway:storeAdmin to the new key, and ca_file to the new CA's file.",
    )


def administrator(stack: Stack, store: Administered) -> StoreKey:
    """Return the administrator's key: derived for the stack's own store, else as the operator set it.

    Raises:
        UsageError: The operator did not set a valid key.
    """
    if isinstance(store, MinioSettings):
        return root_key(stack.stack_settings.secret().get_secret_value(), store.root_key_generation)
    secret = stack.stack_settings.secret(operator_secrets.ADMIN_KEY).get_secret_value()
    key = operator_secrets.read(store, secret, stack.settings.name, ()).admin
    if key is None:
        raise UsageError("Slipway has no administrator's key for this store.")
    return key


def as_administrator(outputs: PlatformOutputs, key: StoreKey, tenant: str) -> StoreAccess:
    """Return the administrator's access to the store; the CA certificate is from a tenant's namespace."""
    return replace(store_access(outputs, tenant, "editor"), key=key)


def service_accounts(
    outputs: PlatformOutputs, administrator: StoreKey, tenant: str, generation: int
) -> tuple[str, ...]:
    """Return the access keys that a tenant's users of one generation created themselves."""
    admin = open_admin(as_administrator(outputs, administrator, tenant))
    with administering(f"list the service accounts of {tenant}"):
        return tuple(
            account for role in StoreRole for account in accounts_of(admin, f"{tenant}-{role}-{generation}")
        )
