"""What a person is told when Slipway refuses or fails.

    SlipwayError
    ├── UsageError    the user can mend it: exit code 2, nothing changed, no traceback
    └── FailedError   the world did not do what was asked: exit code 1, rerun converges
        └── StoreError    the artifact store did not, for a cause that has a name

`storage` is the lowest package, so the tree is rooted here; every other package builds on it.
"""


class SlipwayError(Exception):
    """A message for a person: what happened, why, and what to do about it."""

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        """Keep the three parts apart, so that `--json` can print them apart.

        `what` is one sentence; `why` the cause; `fix` the command or edit that mends it.
        None of them may hold a secret.
        """
        self.what = what
        self.why = why
        self.fix = fix
        super().__init__(" ".join(part for part in (what, why, fix) if part))


class UsageError(SlipwayError):
    """The user's mistake; nothing was changed."""

    exit_code = 2


class FailedError(SlipwayError):
    """Something outside did not work; the old state is kept and a rerun converges."""

    exit_code = 1


class StoreError(FailedError):
    """The store did not do what it was asked; `cause` is the reason in one word, for machines."""

    def __init__(self, what: str, *, cause: str, why: str = "", fix: str = "") -> None:
        """Keep the cause beside the words."""
        super().__init__(what, why=why, fix=fix)
        self.cause = cause
