"""How a check ends when it does not pass."""


class WrongError(Exception):
    """The store does something else than it should."""

    def __init__(self, message: str, code: str | None = None) -> None:
        self.code = code
        super().__init__(message)


class UntestedError(Exception):
    """Here it can't be tried; the message says what is missing for that."""
