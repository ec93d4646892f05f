"""Messages for what a registry refuses, and for what stands between it and this machine.

A mistake that the user can correct is a UsageError (exit code 2): login, CA certificate, rights, a name. What
failed elsewhere is a FailedError (exit code 1).
"""

import errno
import ssl
from collections.abc import Iterator
from typing import Any, Final

import httpx

from slipway.core.errors import FailedError, SlipwayError, UsageError

_SHOWN: Final = 300
_FULL: Final = ("no space left", "disk quota exceeded", "enospc", "insufficient storage")
_LOG_IN: Final = (
    "Log in with `docker login {registry}` or `podman login {registry}`, "
    "or pass --username and --password-stdin."
)
_REASONS: Final = {
    400: ("It was rejected as invalid", "Check that the registry supports OCI images 1.1."),
    405: ("It is read-only", "Have its administrator allow writes."),
    413: ("It is larger than the registry or a proxy before it accepts", "Raise that limit."),
    429: ("There were too many requests", "Wait, or log in: accounts have higher limits."),
}
"""Cause and remedy by status."""


def explain(response: httpx.Response, registry: str, action: str, *, has_login: bool) -> SlipwayError:
    """Return the error for a response that is no success.

    Args:
        response: The last answer, after authentication.
        registry: Its address.
        action: What was tried, such as `read ghcr.io/kserve/agent:v0.20.0`.
        has_login: Whether the request had an account.
    """
    what = f"The registry {registry} refused to {action}."
    status, said = response.status_code, details(response)
    if status in {401, 403}:
        return _forbidden(what, registry, said, has_login=has_login, denied=_is_denied(response))
    if status == 404:
        return UsageError(
            f"There is nothing to {action}.",
            why=f"The registry {registry} answered: {said}.",
            fix="Check the name. Some registries answer the same if the account may not read it.",
        )
    why, fix = _REASONS.get(
        status, (f"It answered {status}", "See its log and run the same command again; it continues.")
    )
    if _is_full(status, said):
        why, fix = "Its disk is full", "Free space there and run the same command again; it continues."
    return FailedError(what, why=f"{why}: {said}.", fix=fix)


def wrong_login(registry: str, said: str = "") -> UsageError:
    """Return the error for a refused user name or password."""
    return UsageError(
        f"The registry {registry} refused the login.",
        why=f"The user name or the password is wrong{f': {said}' if said else '.'}",
        fix=_LOG_IN.format(registry=registry),
    )


def unreachable(error: httpx.HTTPError, registry: str) -> SlipwayError:
    """Return the error for a request that got no answer."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _untrusted(cause, registry)
        if isinstance(cause, ssl.SSLError) and cause.reason in {
            "WRONG_VERSION_NUMBER",
            "RECORD_LAYER_FAILURE",
        }:
            return UsageError(
                f"The registry {registry} does not use TLS.",
                why="It answered without encryption, and logins and images are not sent that way.",
                fix="Use its TLS address; --plain-http is for a registry on this machine alone.",
            )
    return FailedError(
        f"The registry {registry} did not answer.",
        why=_reason(error, causes),
        fix="Check its address and that it is up, and run the same command again; it continues.",
    )


def _untrusted(error: ssl.SSLCertVerificationError, registry: str) -> SlipwayError:
    """Return the error for a certificate; an expired one is not for the user of the registry to correct."""
    said = error.verify_message.rstrip(".")
    if "expired" in said:
        return FailedError(
            f"The certificate of the registry {registry} has expired.",
            why=f"{said}.",
            fix="Have it renewed, or correct this machine's clock.",
        )
    if "mismatch" in said or "not valid for" in said:
        return UsageError(
            f"The certificate of the registry {registry} is for another name.",
            why=f"{said}.",
            fix="Use the name or address that the certificate is for.",
        )
    return UsageError(
        f"The certificate of the registry {registry} is not trusted.",
        why=f"{said}.",
        fix="Pass the registry's CA certificate with --ca-file, or install it for the whole machine.",
    )


def details(response: httpx.Response) -> str:
    """Return the registry's own words for an error, without the rest of its answer."""
    try:
        errors = response.json()["errors"]
        return "; ".join(_words(each) for each in errors)[:_SHOWN] or response.reason_phrase
    except (ValueError, KeyError, TypeError, httpx.ResponseNotRead):
        return response.reason_phrase or str(response.status_code)


def _words(error: dict[str, Any]) -> str:
    parts = [str(error.get("code", "")), str(error.get("message", ""))]
    detail = error.get("detail")
    if isinstance(detail, dict) and (enclosed := detail.get("Enclosed")):
        # The distribution project wraps an error of the file system: its number is all it sends.
        number = enclosed.get("Err") if isinstance(enclosed, dict) else None
        parts.append(errno_words(number) if isinstance(number, int) else str(enclosed))
    elif detail:
        parts.append(str(detail))
    return " ".join(part for part in parts if part).rstrip(".")


def errno_words(number: int) -> str:
    """Return the name of an error number of Linux, such as ENOSPC."""
    return errno.errorcode.get(number, f"error {number}")


def _forbidden(what: str, registry: str, said: str, *, has_login: bool, denied: bool) -> UsageError:
    if not has_login:
        return UsageError(
            what,
            why=f"It wants a login, and there is none for it: {said}.",
            fix=_LOG_IN.format(registry=registry),
        )
    if not denied:
        return wrong_login(registry, f"{said}.")
    return UsageError(
        what,
        why=f"The account has no right to do that: {said}.",
        fix="Use an account that has it, or grant it there.",
    )


def _is_denied(response: httpx.Response) -> bool:
    """Whether the account itself was accepted: a login by password alone is never followed by a 401."""
    challenge = response.headers.get("www-authenticate", "")
    return response.status_code == 403 or challenge.lower().startswith("bearer")


def _is_full(status: int, said: str) -> bool:
    return status == 507 or any(words in said.lower() for words in _FULL)


def _reason(error: httpx.HTTPError, causes: list[BaseException]) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "It took too long."
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.strerror:
            return f"{cause.strerror}."
    return f"{str(error).rstrip('.') or type(error).__name__}."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
