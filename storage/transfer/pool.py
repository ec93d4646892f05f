"""Many requests at once: a few threads that take their tasks from one iterator."""

import threading
from collections.abc import Callable, Iterator

from storage.transfer.wire import Endpoint, StoppedError, Wire

Progress = Callable[[int, int], None]
"""Takes the bytes that are done, which never shrink, and the bytes of all; called by one thread at a time."""

Task = Callable[[Wire], None]


class Tally:
    """Adds up what is done and says so."""

    def __init__(self, total: int, progress: Progress) -> None:
        self.total = total
        """Bytes of the whole transfer."""
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        """`size` bytes more are done."""
        with self._lock:
            self._done += size
            self._progress(self._done, self.total)


def run(tasks: Iterator[Task], endpoint: Endpoint, workers: int) -> None:
    """Do every task; the first that fails stops all, and its error is raised.

    Tasks are drawn one at a time, when a worker is free: an iterator of a million costs no memory.
    """
    stop, lock = threading.Event(), threading.Lock()
    failures: list[BaseException] = []

    def work() -> None:
        wire = Wire(endpoint, stop)
        try:
            while not stop.is_set():
                with lock:
                    task = next(tasks, None)
                if task is None:
                    return
                task(wire)
        except StoppedError:
            return
        except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
            failures.append(error)
            stop.set()
        finally:
            wire.close()

    threads = [threading.Thread(target=work, name=f"transfer-{n}", daemon=True) for n in range(workers)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
