"""The same work for many things, several at a time."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from typing import Final, TypeVar

WORKERS: Final = 5
"""Work that is itself parallel has as many again: 25 requests at once, of the 32 that a client can have."""

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do the work for every item; return what it gave, in the order of the items.

    The first failure ends it all: what has begun is waited for, nothing else begins.
    """
    failed = threading.Event()

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
