"""A tenant's keys, replaced without an outage: a state machine over two lines of its file. Pure.

    n                     list      the access keys that the users of n made for themselves
                          begin     generation n+1 is to be made, n stays valid
    n+1, overlap          up        the store knows both, and no key of users' own; the Secrets carry n+1
                          move      what holds n takes n+1
                          prove     every new key opens what it should and nothing else
    n+1, closing          up        the store removes n
                          prove     every new key opens, every old one is unknown
    n+1

The file is the only memory. Each step can be stopped and done again; what serves always holds a key
that the store knows, because a generation ends only after nothing holds it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from slipway.core.report import Report, silent


class Phase(StrEnum):
    """How far a rotation has come."""

    OVERLAP = "overlap"
    """The keys of the generation before are valid as well."""

    CLOSING = "closing"
    """The keys of the generation before are to be dead, which is not proven yet."""


@dataclass(frozen=True)
class KeyState:
    """What a tenant's file says of its keys."""

    generation: int
    phase: Phase | None = None

    @property
    def former(self) -> int:
        """Return the generation that is being replaced, or was last."""
        return self.generation - 1

    def begun(self) -> "KeyState":
        """Return the state in which the next generation is valid beside this one."""
        return KeyState(self.generation + 1, Phase.OVERLAP)

    def closed(self) -> "KeyState":
        """Return the state in which the generation before is to be dead."""
        return replace(self, phase=Phase.CLOSING)

    def finished(self) -> "KeyState":
        """Return the state without a rotation."""
        return replace(self, phase=None)


@dataclass(frozen=True)
class Rotated:
    """How a rotation ended."""

    generation: int
    continued: bool
    """Whether an earlier call had begun it."""

    accounts: tuple[str, ...]
    """Access keys that the old users had made for themselves, and that are dead now."""


class Steps(Protocol):
    """What a rotation does to the world. Each can be done again and raises FailedError."""

    def state(self) -> KeyState:
        """Return what the tenant's file says."""

    def record(self, before: KeyState, after: KeyState) -> None:
        """Write `after` to the tenant's file, if it still says `before`."""

    def bring_up(self) -> None:
        """Make the platform what the files say."""

    def move(self, state: KeyState) -> None:
        """Return once nothing holds a key of the former generation."""

    def prove_valid(self, generation: int) -> None:
        """Use each role's key for what it may do and for what it may not."""

    def accounts(self, generation: int) -> tuple[str, ...]:
        """Return the access keys that users of the generation made for themselves."""

    def prove_dead(self, generation: int, accounts: tuple[str, ...]) -> None:
        """Use each role's old key, and each of the accounts', and be told that it is unknown."""


def rotate(steps: Steps, report: Report = silent) -> Rotated:
    """Replace a tenant's keys, or go on with a rotation that was stopped.

    Raises:
        FailedError: A step failed. What serves goes on, and a rerun continues from there.
    """
    found = steps.state()
    # Before the store is brought up: that removes them.
    accounts = () if found.phase is Phase.CLOSING else steps.accounts(_replaced(found))
    if found.phase is None:
        state = found.begun()
        report(f"beginning: generation {state.generation} beside {found.generation}")
        steps.record(found, state)
    else:
        state = found
        report(f"continuing: generation {state.generation}, {found.phase}")
    if state.phase is Phase.OVERLAP:
        steps.bring_up()
        steps.move(state)
        steps.prove_valid(state.generation)
        steps.record(state, state.closed())
        state = state.closed()
    steps.bring_up()
    steps.prove_valid(state.generation)
    steps.prove_dead(state.former, accounts)
    steps.record(state, state.finished())
    return Rotated(state.generation, continued=found.phase is not None, accounts=accounts)


def _replaced(state: KeyState) -> int:
    """Return the generation that this rotation is to end, begun or not."""
    return state.generation if state.phase is None else state.former
