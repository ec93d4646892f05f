"""Many requests of the AWS CRT at once: started in order, finished in the caller's thread."""

from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, Final, Protocol

from awscrt.s3 import S3Client, S3Request

WINDOW: Final = 64
"""Requests that are started at a time; an iterator of a million files costs no more memory."""

Progress = Callable[[int, int], None]
"""Takes the bytes that are done, which never decrease, and the bytes of all jobs."""

_Event = tuple[int, int, BaseException | None, bool]
"""Number of the job, additional bytes done, the failure, and whether the job is done."""


class Job(Protocol):
    """The transfer of one object."""

    size: int

    def request(self) -> dict[str, Any]:
        """Return the arguments of `S3Client.make_request`; called once, when the job starts."""

    def finish(self) -> None:
        """The request succeeded; raises if the result is not what it should be."""

    def abandon(self) -> None:
        """Remove what an unsuccessful request left on this machine."""

    def fail(self, error: BaseException) -> None:
        """The request failed: do it in another way, or raise the error for the user."""


def run(client: S3Client, jobs: Iterator[Job], total: int, progress: Progress) -> None:
    """Do every job. The first failure cancels all others and is raised; so does an interrupt.

    `progress` is called from this thread; `total` is the bytes of all jobs.
    """
    _Run(client, jobs, total, progress).run()


class _Run:
    def __init__(self, client: S3Client, jobs: Iterator[Job], total: int, progress: Progress) -> None:
        self._client = client
        self._jobs = enumerate(jobs)
        self._total = total
        self._progress = progress
        self._events: SimpleQueue[_Event] = SimpleQueue()
        self._running: dict[int, tuple[Job, S3Request | None]] = {}
        self._counted: dict[int, int] = {}
        """Bytes that were reported of each running job."""
        self._done = 0

    def run(self) -> None:
        try:
            more = True
            while more or self._running:
                while more and len(self._running) < WINDOW:
                    more = self._start()
                if self._running:
                    self._take(*self._events.get())
        finally:
            self._cancel()

    def _start(self) -> bool:
        """Start the next job; False if there is none."""
        number, job = next(self._jobs, (0, None))
        if job is None:
            return False

        def done(error: BaseException | None, **_: object) -> None:
            self._events.put((number, 0, error, True))

        def progressed(progress: int, **_: object) -> None:
            self._events.put((number, progress, None, False))

        arguments = job.request()
        self._counted[number] = 0
        try:
            request = self._client.make_request(**arguments, on_done=done, on_progress=progressed)
        except RuntimeError as error:  # the file can't be opened
            self._events.put((number, 0, error, True))
            request = None
        self._running[number] = job, request
        return True

    def _take(self, number: int, size: int, error: BaseException | None, ended: bool) -> None:
        job, _ = self._running[number]
        if not ended:
            self._count(number, min(size, job.size - self._counted[number]))
            return
        del self._running[number]
        try:
            if error is not None:
                job.fail(error)
            job.finish()
        finally:
            job.abandon()
        # A retry is not counted twice, and an empty file counts as one step too.
        self._count(number, job.size - self._counted.pop(number))

    def _count(self, number: int, size: int) -> None:
        if number in self._counted:
            self._counted[number] += size
        self._done += size
        self._progress(self._done, self._total)

    def _cancel(self) -> None:
        """Cancel what still runs, and wait for it: an upload in parts removes them from the store."""
        for _, request in self._running.values():
            if request is not None:
                request.cancel()
        while self._running:
            number, _, _, ended = self._events.get()
            if ended:
                self._running.pop(number)[0].abandon()
