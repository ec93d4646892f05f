"""Several long jobs in parallel, with one line at a time that says what is being waited for."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from slipway.core.report import Report

_EVERY: Final = 10.0
_SOONEST: Final = 2.0


@dataclass
class Step:
    """One job: what it works on, and its progress. The job writes, the reporting thread reads."""

    subject: str
    work: Callable[["Step", threading.Event], None]
    verb: str = "ready"
    status: Callable[[], tuple[str, str]] = lambda: ("starting", "")
    """Its progress: the phase, and details of it."""
    began: float | None = None
    ended: float | None = None

    def run(self, cancel: threading.Event) -> None:
        """Do the work, and record when it started and ended."""
        self.began = time.monotonic()
        self.work(self, cancel)
        self.ended = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has run, or ran."""
        return 0.0 if self.began is None else (self.ended or time.monotonic()) - self.began

    def line(self) -> str:
        """Subject, elapsed time, progress."""
        return " ".join(part for part in (self.subject, clock(self.seconds), *self.status()) if part)


def clock(seconds: float) -> str:
    """A duration as a person reads it: 4:06."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def run(steps: Sequence[Step], *, lanes: int, report: Report) -> None:
    """Run the steps in their order, `lanes` at a time; the first failure or Ctrl-C ends them all.

    When this returns or raises, no job and none of its processes runs any more.
    """
    cancel = threading.Event()
    with ThreadPoolExecutor(max_workers=lanes, thread_name_prefix="toolchain") as pool:
        futures = {pool.submit(step.run, cancel): step for step in steps}
        try:
            _watch(futures, report)
        except BaseException:
            cancel.set()
            for future in futures:
                future.cancel()
            raise


def _watch(futures: dict[Future[None], Step], report: Report) -> None:
    pending = set(futures)
    reported = time.monotonic()
    phases: list[tuple[str, str]] = []
    while pending:
        done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
            report(f"{futures[future].subject} {futures[future].verb} in {clock(futures[future].seconds)}")
        active = [step for future, step in futures.items() if future in pending and step.began]
        now, current = time.monotonic(), [(step.subject, step.status()[0]) for step in active]
        if active and now - reported >= (_SOONEST if current != phases else _EVERY):
            reported, phases = now, current
            later = [step.subject for future, step in futures.items() if future in pending and not step.began]
            report(
                "; ".join(step.line() for step in active) + (f"; then {', '.join(later)}" if later else "")
            )
