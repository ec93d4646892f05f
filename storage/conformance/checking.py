"""What a check is, and how it says that something is not as it should be."""

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
"""A store's own words for "I don't do this"."""


@dataclass(frozen=True)
class Check:
    """One thing that a store must do."""

    capability: Capability
    name: str
    holds: str
    work: Callable[[Context], str | None]

    def run(self, context: Context) -> CheckResult:
        """Try it; whatever a store answers becomes a result and no exception."""
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
    """Make a check of a function: its name and the first line of its docstring are the check's."""

    def make(work: Callable[[Context], str | None]) -> Check:
        said = (work.__doc__ or "").strip().splitlines()[0]
        return Check(capability, work.__name__.replace("_", "-"), said, work)

    return make


def status_of(error: ClientError) -> int:
    """Return the HTTP status of a store's refusal."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _message(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", "")).strip()


@contextmanager
def refused(what: str, *codes: str, status: int) -> Iterator[None]:
    """Hold a store to one refusal: success is wrong, and so is any other error.

    Args:
        what: What is tried, for the message.
        codes: The codes that may be answered.
        status: The HTTP status that must come with them.

    Raises:
        WrongError: The store did it, or refused for another reason.
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
