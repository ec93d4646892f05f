"""Runs the same function for many items in parallel."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from typing import Final, TypeVar

WORKERS: Final = 5
"""Number of threads. Nested use gives 25 concurrent requests, of the 32 that a client allows."""

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(
    work: Callable[[T], R], items: Iterable[T], *, stopped: threading.Event | None = None
) -> list[R]:
    """Call `work` for every item; return the results in the order of the items.

    After the first failure or an interruption no more calls are started; running calls are waited for. They
    can end early, with `CancelledError`, when they see that `stopped` is set.
    """
    failed = stopped or threading.Event()

    def unless_failed(item: T) -> R:
        if failed.is_set():
            raise CancelledError
        try:
            return work(item)
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(WORKERS, thread_name_prefix="parallel") as pool:
        futures = [pool.submit(unless_failed, item) for item in items]
        try:
            for done in as_completed(futures):
                if not isinstance(done.exception(), CancelledError):
                    done.result()
        except BaseException:
            failed.set()
            raise
    return [each.result() for each in futures]
