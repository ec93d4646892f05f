"""Exceptions of checks that do not pass."""


class WrongError(Exception):
    """The store does not behave as required."""

    def __init__(self, message: str, code: str | None = None) -> None:
        self.code = code
        super().__init__(message)


class UntestedError(Exception):
    """The check can't run here; the message says what it needs."""
