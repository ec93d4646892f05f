"""Polling with a time limit."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from slipway.core.report import Report

T = TypeVar("T")


def tries(seconds: float, interval: float) -> Iterator[bool]:
    """Yield now and every `interval` seconds, and a last time when `seconds` are over.

    Yields whether it is the last try, so that the caller can report what is still missing.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield False
        time.sleep(interval)
    yield True


def poll(
    look: Callable[[], T],
    done: Callable[[T], object] = bool,
    *,
    seconds: float,
    interval: float,
    meanwhile: Callable[[T], None] | None = None,
) -> T:
    """Call `look` until `done` accepts its result, or until `seconds` are over.

    Args:
        look: Returns the current state; its exceptions end the wait.
        done: Whether the state is the expected one; by default any true value is.
        seconds: Time limit; `look` is called once more after it.
        interval: Seconds between two calls.
        meanwhile: Called with each state that `done` does not accept.

    Returns:
        The last state.
    """
    turns = tries(seconds, interval)
    while True:
        last = next(turns)
        state = look()
        if last or done(state):
            return state
        if meanwhile:
            meanwhile(state)


def tolerating(look: Callable[[], T], error: type[Exception], *, seconds: float) -> Callable[[], T | None]:
    """Return `look` with None instead of an error, until it fails for `seconds` without interruption."""
    answered = time.monotonic()

    def tolerant() -> T | None:
        nonlocal answered
        try:
            state = look()
        except error:
            if time.monotonic() - answered > seconds:
                raise
            return None
        answered = time.monotonic()
        return state

    return tolerant


def changes(report: Report) -> Report:
    """Return a report that drops a line equal to the one before."""
    before = ""

    def changed(line: str) -> None:
        nonlocal before
        if line != before:
            before = line
            report(line)

    return changed
