"""Errors that the user sees when Slipway refuses or fails.

    SlipwayError
    ├── UsageError    the user can fix it: exit code 2, nothing changed, no traceback
    └── FailedError   something outside Slipway failed: exit code 1, a rerun converges
        └── StoreError    the artifact store failed, with a named cause

Every other package imports these classes.
"""


class SlipwayError(Exception):
    """A message for the user: what happened, why, and what to do about it."""

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        """Keep the three parts separate, so that `--json` can print them separately.

        `what` is one sentence; `why` the cause; `fix` the command or edit that fixes it.
        None of them may contain a secret.
        """
        self.what = what
        self.why = why
        self.fix = fix
        super().__init__(" ".join(part for part in (what, why, fix) if part))


class UsageError(SlipwayError):
    """The user's mistake; nothing was changed."""

    exit_code = 2


class FailedError(SlipwayError):
    """Something outside Slipway failed; the old state is kept and a rerun converges."""

    exit_code = 1


class StoreError(FailedError):
    """A request to the store failed; `cause` is the reason in one word, for machines."""

    def __init__(self, what: str, *, cause: str, why: str = "", fix: str = "") -> None:
        """Keep the cause besides the message."""
        super().__init__(what, why=why, fix=fix)
        self.cause = cause
