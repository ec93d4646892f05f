"""Short-lived tokens of a tenant's ServiceAccounts, and whether a cluster limits their lifetime."""

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, SecretStr

from infra.admission import TOKEN_LIFETIME, TOKEN_SECONDS
from infra.contract import PlatformOutputs
from serving.cluster import Cluster
from slipway.core.errors import FailedError, UsageError
from slipway.operations.choices import AccountRole

_LEAST_SECONDS: Final = 600
"""The API server issues no token with a shorter lifetime."""
_YEAR_SECONDS: Final = 365 * 24 * 3600
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Token:
    """A token and its time of expiry."""

    value: SecretStr
    ends: datetime


class Bound(BaseModel):
    """Whether a cluster limits the lifetime of tenants' tokens, and by what."""

    model_config = ConfigDict(frozen=True)

    stack: str
    bounded: bool
    seconds: int | None
    """Lifetime of a token that was requested for a year; None if it was refused."""
    detail: str


def lifetime(text: str) -> int:
    """Return the seconds of a duration such as `30m` or `8h`.

    Raises:
        UsageError: It is not a duration, or is not allowed for a token.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smh])", text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not _LEAST_SECONDS <= seconds <= TOKEN_SECONDS:
        raise UsageError(
            f"{text!r} can't be the lifetime of a token.",
            why="Allowed are 10m to 24h, as a number with s, m or h.",
            fix="Give for example --for 1h.",
        )
    return seconds


def mint(
    outputs: PlatformOutputs, tenant: str, role: AccountRole, seconds: int, audience: str | None
) -> Token:
    """Request a token of the tenant's ServiceAccount for a role.

    Raises:
        UsageError: The stack has no such tenant.
        FailedError: The cluster refused, or issued a token with too long a lifetime.
    """
    target = outputs.tenant(tenant)
    account = {"editor": target.editor_service_account, "viewer": target.viewer_service_account}[role]
    value = Cluster.of(outputs).request_token(target.namespace, account, seconds, audience)
    claims = _claims(value)
    if claims["exp"] - claims["iat"] > TOKEN_SECONDS:
        raise FailedError(
            "The cluster issued a token that is valid for more than a day; it was discarded.",
            fix=f"Run `slipway doctor --cluster --stack {outputs.stack}`.",
        )
    return Token(value, datetime.fromtimestamp(claims["exp"], UTC))


def examine(outputs: PlatformOutputs) -> Bound:
    """Request a token valid for a year, discard it, and return the lifetime that it had.

    Raises:
        UsageError: The stack has no tenant, so no ServiceAccount to request a token for.
        FailedError: The cluster can't be reached, or refused for another reason than the lifetime.
    """
    if not outputs.tenants:
        raise UsageError(
            f"Stack {outputs.stack!r} has no tenant, so there is no account to request a token for.",
            fix="Add one in tenants/.",
        )
    target = outputs.tenants[min(outputs.tenants)]
    try:
        value = Cluster.of(outputs).request_token(
            target.namespace, target.editor_service_account, _YEAR_SECONDS, None
        )
    except FailedError as error:
        if TOKEN_LIFETIME not in error.why:
            raise
        detail = f"refused by the admission policy {TOKEN_LIFETIME}"
        return Bound(stack=outputs.stack, bounded=True, seconds=None, detail=detail)
    claims = _claims(value)
    seconds = claims["exp"] - claims["iat"]
    bounded = seconds <= TOKEN_SECONDS
    detail = "shortened by the API server" if bounded else "neither refused nor shortened enough"
    return Bound(stack=outputs.stack, bounded=bounded, seconds=seconds, detail=detail)


def _claims(token: SecretStr) -> dict[str, int]:
    """Return the times in a token. The API server just issued it, so its signature need not be checked."""
    try:
        part = token.get_secret_value().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return {name: int(claims[name]) for name in ("iat", "exp")}
    except (IndexError, ValueError, KeyError, TypeError):
        # Not chained: the message of the cause could hold a part of the token.
        raise FailedError("The cluster answered with a token that is not a JSON Web Token.") from None
