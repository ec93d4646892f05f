"""Keys of an external store that an operator hands to Slipway: read strictly, refused when weak. Pure.

    slipway:storeAdmin    {"access_key": …, "secret_key": …}
    slipway:storeKeys     {"<tenant>": {"<role>": {"access_key": …, "secret_key": …}}}

No message says what a secret is.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr

from slipway.core.errors import UsageError
from storage.keys import StoreKey, StoreRole

MIN_SECRET: Final = 12
"""Characters of a secret key; a shorter one can be guessed."""

_WEAK: Final = frozenset({"minio", "minio123", "minioadmin", "12341234", "admin", "password", "changeme"})
"""What examples and defaults use; whatever a weak word is repeated or doubled to is refused as well."""

_FORM: Final = '{"access_key": "…", "secret_key": "…"}'


@dataclass(frozen=True)
class OperatorKeys:
    """A key for each role of each tenant."""

    keys: Mapping[tuple[str, StoreRole], StoreKey]

    def of(self, tenant: str, role: StoreRole) -> StoreKey:
        """Return the role's key; `read_tenants` has seen to it that there is one."""
        return self.keys[tenant, role]


def read_admin(text: str, where: str) -> StoreKey:
    """Return an administrator's key.

    Args:
        text: What the operator wrote.
        where: How messages call it.

    Raises:
        UsageError: It is no key, or one that can be guessed.
    """
    return _key(_document(text, where), where)


def read_tenants(text: str, where: str, tenants: Sequence[str]) -> OperatorKeys:
    """Return the keys of every tenant; those of a tenant that is still to come may be there already.

    Raises:
        UsageError: A key is missing, weak, or given to two.
    """
    found: dict[tuple[str, StoreRole], StoreKey] = {}
    for tenant, roles in _document(text, where).items():
        if not isinstance(roles, dict):
            raise UsageError(f"{where}: {tenant}: must hold a key for each role.", fix=_roles())
        for name, key in roles.items():
            if name not in list(StoreRole):
                raise UsageError(f"{where}: {tenant}.{name}: is no role.", fix=_roles())
            found[tenant, StoreRole(name)] = _key(key, f"{where}: {tenant}.{name}")
    missing = [f"{tenant}.{role}" for tenant in tenants for role in StoreRole if (tenant, role) not in found]
    if missing:
        raise UsageError(
            f"{where}: no key for {', '.join(missing)}.",
            why="Slipway has no administrator of this store and can't make one.",
            fix="Make the users with the rights that docs/stores.md lists, and add their keys.",
        )
    _require_own(found, where)
    return OperatorKeys(found)


def _roles() -> str:
    return f"Roles are {', '.join(StoreRole)}; each takes {_FORM}."


def _require_own(found: Mapping[tuple[str, StoreRole], StoreKey], where: str) -> None:
    """Refuse a key with two owners: it would have the rights of both."""
    owners: dict[str, str] = {}
    for (tenant, role), key in found.items():
        owner = f"{tenant}.{role}"
        for value in (key.access_key, key.secret_key.get_secret_value()):
            if owners.setdefault(value, owner) != owner:
                raise UsageError(
                    f"{where}: {owners[value]} and {owner} share a key.",
                    why="Whoever holds it would have the rights of both.",
                    fix="Make a user of its own for each.",
                )


def _document(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        value = None  # what the parser says would quote the secret
    if not isinstance(value, dict):
        raise UsageError(f"{where}: is no JSON object, or names something twice.", fix=f"It takes {_FORM}.")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError
    return dict(pairs)


def _key(value: object, where: str) -> StoreKey:
    if (
        not isinstance(value, dict)
        or set(value) != {"access_key", "secret_key"}
        or not all(isinstance(each, str) and _printable(each) for each in value.values())
    ):
        raise UsageError(f"{where}: is no key.", fix=f"It takes {_FORM} of printable characters.")
    access_key, secret_key = value["access_key"], value["secret_key"]
    for weak, why in (
        (len(secret_key) < MIN_SECRET, f"has fewer than {MIN_SECRET} characters"),
        (secret_key.lower() in _guessable(access_key.lower()), "is a default, or the access key itself"),
        (len(set(secret_key)) < MIN_SECRET // 2, "repeats few characters"),
    ):
        if weak:
            raise UsageError(
                f"{where}: the secret key {why}.",
                why="It opens the store to everybody who guesses it.",
                fix="Give the user another one in the store, then set it here.",
            )
    return StoreKey(access_key=access_key, secret_key=SecretStr(secret_key))


def _guessable(access_key: str) -> frozenset[str]:
    words = _WEAK | {access_key}
    return words | frozenset(one + other for one in words for other in (*words, "123", "1234"))


def _printable(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text
