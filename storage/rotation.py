"""Replaces a tenant's keys without an outage: a state machine over two lines of the tenant's file. Pure.

    n                     list      the access keys that the users of n created themselves
                          begin     generation n+1 is to be created, n stays valid
    n+1, overlap          up        the store knows both and no keys that users created; the Secrets hold n+1
                          move      workloads that use n switch to n+1
                          verify    every new key allows what it should and nothing else
    n+1, closing          up        the store removes n
                          verify    every new key works, every old one is unknown
    n+1

The file is the only state. Each step can be interrupted and repeated. Serving workloads always have a valid
key, because a generation is removed only when nothing uses it any more.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from slipway.core.report import Report, silent


class Phase(StrEnum):
    """Progress of a rotation."""

    OVERLAP = "overlap"
    """The keys of the previous generation are valid too."""

    CLOSING = "closing"
    """The keys of the previous generation are being revoked, which is not verified yet."""


@dataclass(frozen=True)
class KeyState:
    """The state of a tenant's keys in its file."""

    generation: int
    phase: Phase | None = None

    @property
    def former(self) -> int:
        """The generation that is being replaced, or was replaced last."""
        return self.generation - 1

    def begun(self) -> "KeyState":
        """Return the state in which the next generation is valid in addition to this one."""
        return KeyState(self.generation + 1, Phase.OVERLAP)

    def closed(self) -> "KeyState":
        """Return the state in which the previous generation is revoked."""
        return replace(self, phase=Phase.CLOSING)

    def finished(self) -> "KeyState":
        """Return the state without a rotation."""
        return replace(self, phase=None)


@dataclass(frozen=True)
class Rotated:
    """Result of a rotation."""

    generation: int
    continued: bool
    """Whether an earlier call had started it."""

    accounts: tuple[str, ...]
    """Access keys that the old users had created themselves, now revoked."""


class Steps(Protocol):
    """Side effects of a rotation. Each can be repeated and raises FailedError."""

    def state(self) -> KeyState:
        """Return the state in the tenant's file."""

    def record(self, before: KeyState, after: KeyState) -> None:
        """Write `after` to the tenant's file if it still contains `before`."""

    def bring_up(self) -> None:
        """Deploy the platform according to the files."""

    def move(self, state: KeyState) -> None:
        """Return once nothing uses a key of the former generation."""

    def verify_valid(self, generation: int) -> None:
        """Verify by use what each role's key allows and denies."""

    def accounts(self, generation: int) -> tuple[str, ...]:
        """Return the access keys that users of the generation created themselves."""

    def verify_revoked(self, generation: int, accounts: tuple[str, ...]) -> None:
        """Verify by use that each role's old key and each of the accounts' keys is unknown."""


def rotate(steps: Steps, report: Report = silent) -> Rotated:
    """Replace a tenant's keys, or continue an interrupted rotation.

    Raises:
        FailedError: A step failed. Serving is not affected, and a rerun continues from there.
    """
    initial = steps.state()
    # Before `bring_up`, which removes them from the store.
    accounts = () if initial.phase is Phase.CLOSING else steps.accounts(_replaced(initial))
    if initial.phase is None:
        state = initial.begun()
        report(f"beginning: generation {state.generation} in addition to {initial.generation}")
        steps.record(initial, state)
    else:
        state = initial
        report(f"continuing: generation {state.generation}, {initial.phase}")
    if state.phase is Phase.OVERLAP:
        steps.bring_up()
        steps.move(state)
        steps.verify_valid(state.generation)
        steps.record(state, state.closed())
        state = state.closed()
    steps.bring_up()
    steps.verify_valid(state.generation)
    steps.verify_revoked(state.former, accounts)
    steps.record(state, state.finished())
    return Rotated(state.generation, continued=initial.phase is not None, accounts=accounts)


def _replaced(state: KeyState) -> int:
    """Return the generation that this rotation replaces."""
    return state.generation if state.phase is None else state.former
