"""What tests of the command line share: settings that can be, and commands that went on."""

from typing import Any

SECRET = "  slipway:secret: {secure: 'v1:abc:def'}"
GOOD = f"config:\n  slipway:platform:\n    environment: local\n{SECRET}\n"


class StartedError(AssertionError):
    """A command went on where it had to refuse."""


def raising(error: BaseException) -> Any:
    def fail(*arguments: object, **named: object) -> None:
        raise error

    return fail
