"""Defines checks and their assertions."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from storage.client import error_code
from storage.conformance.context import Context
from storage.conformance.exceptions import UntestedError, WrongError
from storage.conformance.result import Capability, CheckOutcome, CheckResult

_NOT_IMPLEMENTED: Final = frozenset(
    {"NotImplemented", "XNotImplemented", "MethodNotAllowed", "VersioningNotConfigured"}
)
"""Codes with which stores report an unsupported feature."""


@dataclass(frozen=True)
class Check:
    """One requirement on a store."""

    capability: Capability
    name: str
    holds: str
    work: Callable[[Context], str | None]

    def run(self, context: Context) -> CheckResult:
        """Run the check; every answer of the store becomes a result, not an exception."""
        began = time.monotonic()
        outcome, code, message = self._outcome(context)
        return CheckResult(
            capability=self.capability,
            name=self.name,
            holds=self.holds,
            outcome=outcome,
            code=code,
            message=message,
            seconds=round(time.monotonic() - began, 3),
        )

    def _outcome(self, context: Context) -> tuple[CheckOutcome, str | None, str]:
        try:
            return CheckOutcome.PASSED, None, self.work(context) or ""
        except WrongError as wrong:
            return CheckOutcome.FAILED, wrong.code, str(wrong)
        except UntestedError as untested:
            return CheckOutcome.UNTESTED, None, str(untested)
        except ClientError as error:
            code = error_code(error)
            absent = code in _NOT_IMPLEMENTED or status_of(error) == 501
            message = f"{error.operation_name}: {_message(error)}"
            return CheckOutcome.ABSENT if absent else CheckOutcome.FAILED, code, message
        except BotoCoreError as error:
            return CheckOutcome.FAILED, None, f"{type(error).__name__}: {error}"


def check(capability: Capability) -> "Callable[[Callable[[Context], str | None]], Check]":
    """Turn a function into a check, named after the function and described by its docstring's first line."""

    def make(work: Callable[[Context], str | None]) -> Check:
        holds = (work.__doc__ or "").strip().splitlines()[0]
        return Check(capability, work.__name__.replace("_", "-"), holds, work)

    return make


def status_of(error: ClientError) -> int:
    """Return the HTTP status of a store's error answer."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _message(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", "")).strip()


@contextmanager
def refused(what: str, *codes: str, status: int) -> Iterator[None]:
    """Expect a request to be refused with one of these codes.

    Args:
        what: The request, for the message.
        codes: Allowed error codes.
        status: Expected HTTP status.

    Raises:
        WrongError: The request succeeded, or failed with another error.
    """
    try:
        yield
    except ClientError as error:
        code = error_code(error)
        if code not in codes or status_of(error) != status:
            expected = " or ".join(codes)
            raise WrongError(
                f"{what}: refused with {status_of(error)} {code}, not with {status} {expected}", code
            ) from error
    else:
        raise WrongError(f"{what}: not refused")


def must(condition: object, message: str) -> None:
    """Raise WrongError with the message unless the condition holds."""
    if not condition:
        raise WrongError(message)
