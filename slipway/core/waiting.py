"""Waiting by looking again and again: the one way to do it, with an end."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from slipway.core.report import Report

T = TypeVar("T")


def tries(seconds: float, interval: float) -> Iterator[bool]:
    """Give a turn now and every `interval` seconds, and a last one when `seconds` are over.

    Each turn is told whether it is the last, so that it can say what it still missed.
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
    """Look until `done` of what is seen, or until `seconds` are over.

    Args:
        look: What it raises ends the wait.
        done: Whether it is what is waited for; where it isn't given, any value that counts as true is.
        seconds: After them it looks once more.
        interval: Seconds between two looks.
        meanwhile: Is given what is seen as long as it is not what is waited for.

    Returns:
        What was seen last.
    """
    turns = tries(seconds, interval)
    while True:
        last = next(turns)
        seen = look()
        if last or done(seen):
            return seen
        if meanwhile:
            meanwhile(seen)


def tolerating(look: Callable[[], T], error: type[Exception], *, seconds: float) -> Callable[[], T | None]:
    """Return `look` with None in place of an error, until it fails for so many seconds without a break."""
    answered = time.monotonic()

    def tolerant() -> T | None:
        nonlocal answered
        try:
            seen = look()
        except error:
            if time.monotonic() - answered > seconds:
                raise
            return None
        answered = time.monotonic()
        return seen

    return tolerant


def changes(report: Report) -> Report:
    """Return a report that passes a line on only where it differs from the one before."""
    before = ""

    def changed(line: str) -> None:
        nonlocal before
        if line != before:
            before = line
            report(line)

    return changed
