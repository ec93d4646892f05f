"""Parses the keys of an external store that an operator provides, and rejects weak ones. Pure.

    slipway:storeAdmin    {"access_key": …, "secret_key": …}
    slipway:storeKeys     {"<tenant>": {"<role>": {"access_key": …, "secret_key": …}}}

No message contains a secret.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr

from slipway.core.errors import UsageError
from storage.keys import StoreKey, StoreRole

MIN_SECRET: Final = 12
"""Minimum length of a secret key in characters."""

_WEAK: Final = frozenset({"minio", "minio123", "minioadmin", "12341234", "admin", "password", "changeme"})
"""Secrets of examples and defaults; combinations of two of them are rejected too."""

_FORM: Final = '{"access_key": "…", "secret_key": "…"}'


@dataclass(frozen=True)
class OperatorKeys:
    """A key for each role of each tenant."""

    keys: Mapping[tuple[str, StoreRole], StoreKey]

    def of(self, tenant: str, role: StoreRole) -> StoreKey:
        """Return the role's key; `read_tenants` has checked that it exists."""
        return self.keys[tenant, role]


def read_admin(text: str, where: str) -> StoreKey:
    """Return an administrator's key.

    Args:
        text: The operator's JSON.
        where: Name of the setting in messages.

    Raises:
        UsageError: It is malformed or a weak key.
    """
    return _key(_document(text, where), where)


def read_tenants(text: str, where: str, tenants: Sequence[str]) -> OperatorKeys:
    """Return the keys of every tenant; keys of tenants that don't exist yet are allowed.

    Raises:
        UsageError: A key is missing, weak, or used twice.
    """
    keys: dict[tuple[str, StoreRole], StoreKey] = {}
    for tenant, roles in _document(text, where).items():
        if not isinstance(roles, dict):
            raise UsageError(f"{where}: {tenant}: must contain a key for each role.", fix=_roles())
        for name, key in roles.items():
            if name not in list(StoreRole):
                raise UsageError(f"{where}: {tenant}.{name}: unknown role.", fix=_roles())
            keys[tenant, StoreRole(name)] = _key(key, f"{where}: {tenant}.{name}")
    missing = [f"{tenant}.{role}" for tenant in tenants for role in StoreRole if (tenant, role) not in keys]
    if missing:
        raise UsageError(
            f"{where}: no key for {', '.join(missing)}.",
            why="Without an administrator's key, Slipway can't create one.",
            fix="Create the users with the permissions that docs/stores.md lists, and add their keys.",
        )
    _require_unique(keys, where)
    return OperatorKeys(keys)


def _roles() -> str:
    return f"Roles are {', '.join(StoreRole)}; each needs {_FORM}."


def _require_unique(keys: Mapping[tuple[str, StoreRole], StoreKey], where: str) -> None:
    """Reject a key with two owners: it would have the permissions of both."""
    owners: dict[str, str] = {}
    for (tenant, role), key in keys.items():
        owner = f"{tenant}.{role}"
        for value in (key.access_key, key.secret_key.get_secret_value()):
            if owners.setdefault(value, owner) != owner:
                raise UsageError(
                    f"{where}: {owners[value]} and {owner} share a key.",
                    why="The key would have the permissions of both.",
                    fix="Create a separate user for each.",
                )


def _document(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):
        value = None  # the parser's message would quote the secret
    if not isinstance(value, dict):
        raise UsageError(f"{where}: not a JSON object, or a key occurs twice.", fix=f"The format is {_FORM}.")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError
    return dict(pairs)


def _key(value: object, where: str) -> StoreKey:
    if (
        not isinstance(value, dict)
        or set(value) != {"access_key", "secret_key"}
        or not all(isinstance(each, str) and _printable(each) for each in value.values())
    ):
        raise UsageError(
            f"{where}: not a valid key.", fix=f"The format is {_FORM} with printable characters."
        )
    access_key, secret_key = value["access_key"], value["secret_key"]
    for weak, why in (
        (len(secret_key) < MIN_SECRET, f"has fewer than {MIN_SECRET} characters"),
        (secret_key.lower() in _guessable(access_key.lower()), "is a default, or the access key itself"),
        (len(set(secret_key)) < MIN_SECRET // 2, "repeats few characters"),
    ):
        if weak:
            raise UsageError(
                f"{where}: the secret key {why}.",
                why="Anyone who guesses it has access to the store.",
                fix="Change the user's secret key in the store, then set it here.",
            )
    return StoreKey(access_key=access_key, secret_key=SecretStr(secret_key))


def _guessable(access_key: str) -> frozenset[str]:
    words = _WEAK | {access_key}
    return words | frozenset(one + other for one in words for other in (*words, "123", "1234"))


def _printable(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text
