"""Tests whether a key can change itself, create another key, or get a token that grants access.

A successful attempt leaves the key unchanged: it sets the secret that the key already has, and removes
what it created.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from storage.administration import ERRORS, code_of, open_admin, status_of
from storage.client import StoreAccess, ca_file, error_code, open_store
from storage.keys import StoreKey

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WEEK_SECONDS: Final = 7 * 24 * 3600
_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException"})
_NO_SUCH_API: Final = frozenset({400, 404, 405, 501})
"""Statuses for a request to an API that the store does not have: many treat it as an object request."""


class Answer(StrEnum):
    """Kind of a store's answer."""

    DENIED = "denied"
    ABSENT = "absent"
    """The store has no such API."""

    GRANTED = "granted"
    UNCLEAR = "unclear"
    """Neither; to be treated as granted."""


@dataclass(frozen=True)
class Attempt:
    """One attempt of a key, and the store's answer."""

    what: str
    """Predicate of a sentence about the key: `gives itself a secret`."""

    answer: Answer
    code: str = ""


Opens = Callable[["S3Client"], object]
"""Makes a permitted request; raises ClientError if it is denied."""

_TOKENS: Final[dict[str, dict[str, Any]]] = {
    "assume_role": {
        "RoleArn": "arn:aws:iam::123456789012:role/slipway-nobody",
        "RoleSessionName": "slipway-nobody",
        "DurationSeconds": WEEK_SECONDS,
    },
    "get_federation_token": {"Name": "slipway-nobody", "DurationSeconds": 3600},
    "get_session_token": {"DurationSeconds": 3600},
}
"""STS calls that need only a key."""

_CLAIMS: Final[tuple[dict[str, str], ...]] = ({}, {"principaltype": "User"})
"""Headers to try with a token: MinIO reads some condition keys from headers."""


def attempts(access: StoreAccess, opens: Opens) -> Iterator[Attempt]:
    """Try every way in which a user of a store could change its own access.

    Args:
        access: The store, with the key to test.
        opens: A request that the key may make, to test whether a token may make it too.

    Raises:
        UsageError: There is no key.
    """
    if access.endpoint is not None:
        yield _attempt("gives itself a secret", lambda: _give_secret(access))
        yield _attempt("makes an access key by MinIO's admin API", lambda: _make_account(access))
    yield _attempt("makes an access key by the IAM API", lambda: _make_access_key(access))
    for operation, arguments in _TOKENS.items():
        # AWS grants it to every user and no policy can deny it; on AWS, Slipway has roles and no users.
        if access.endpoint is not None or operation != "get_session_token":
            yield from _token(access, opens, operation, arguments)


def _attempt(what: str, ask: Callable[[], object]) -> Attempt:
    try:
        ask()
    except ClientError as error:
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return Attempt(what, *_read(error_code(error), status))
    except ERRORS as error:
        return Attempt(what, *_read(code_of(error), status_of(error)))
    except (BotoCoreError, ValueError) as error:
        return Attempt(what, Answer.UNCLEAR, type(error).__name__)
    return Attempt(what, Answer.GRANTED)


def _read(code: str, status: int) -> tuple[Answer, str]:
    if code in _DENIED:
        return Answer.DENIED, code
    return (Answer.ABSENT if status in _NO_SUCH_API else Answer.UNCLEAR), code


def _secret(access: StoreAccess) -> tuple[str, str]:
    assert access.key, "the test needs a key"
    return access.key.access_key, access.key.secret_key.get_secret_value()


def _give_secret(access: StoreAccess) -> None:
    open_admin(access).user_add(*_secret(access))


def _make_account(access: StoreAccess) -> None:
    admin = open_admin(access)
    account = json.loads(admin.add_service_account())
    admin.delete_service_account(account["credentials"]["accessKey"])


def _make_access_key(access: StoreAccess) -> None:
    client = _api(access, "iam")
    access_key = client.create_access_key()["AccessKey"]
    client.delete_access_key(AccessKeyId=access_key["AccessKeyId"])


def _token(access: StoreAccess, opens: Opens, operation: str, arguments: dict[str, Any]) -> Iterator[Attempt]:
    """Request a token, and try it; a token that is denied everything is harmless."""
    name = "".join(part.capitalize() for part in operation.split("_"))
    tokens: list[dict[str, Any]] = []

    def ask() -> None:
        tokens.append(getattr(_api(access, "sts"), operation)(**arguments)["Credentials"])

    attempt = _attempt(f"gets a token by {name}", ask)
    if attempt.answer is not Answer.GRANTED:
        yield attempt
        return
    for claim in _CLAIMS:
        headers = "".join(f" and the header {header}: {value}" for header, value in claim.items())
        by_token = _opened(_by_token(access, tokens[0]), claim)
        yield _attempt(f"opens what it may by a token of {name}{headers}", partial(opens, by_token))
        by_token.close()


def _opened(access: StoreAccess, headers: dict[str, str]) -> "S3Client":
    client = open_store(access)

    def claim(request: AWSRequest, **_: object) -> None:
        for name, value in headers.items():
            request.headers[name] = value

    client.meta.events.register("before-sign.s3", claim)
    return client


def _by_token(access: StoreAccess, token: dict[str, Any]) -> StoreAccess:
    key = StoreKey(access_key=token["AccessKeyId"], secret_key=SecretStr(token["SecretAccessKey"]))
    return replace(access, key=key, session_token=SecretStr(token["SessionToken"]))


def _api(access: StoreAccess, service: str) -> Any:  # noqa: ANN401  # boto3 has no type for all of them
    """Open another AWS API at the store's endpoint."""
    access_key, secret_key = _secret(access)
    token = access.session_token
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=access.endpoint,
        region_name=access.region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        aws_session_token=token.get_secret_value() if token else None,
        verify=str(ca_file(access.ca)) if access.ca else None,
        config=Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 1}),
    )
