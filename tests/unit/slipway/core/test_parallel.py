"""Parallel work: results in order, cancelled by the first failure."""

import threading

import pytest

from slipway.core.parallel import WORKERS, in_parallel


def test_results_are_in_order_and_work_runs_in_parallel() -> None:
    together = threading.Barrier(WORKERS, timeout=30)

    def work(number: int) -> int:
        together.wait()  # passes only once as many run at the same time
        return number * number

    assert in_parallel(work, range(WORKERS)) == [number * number for number in range(WORKERS)]


def test_the_first_failure_cancels_pending_work() -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        raise ValueError(number)

    with pytest.raises(ValueError, match=r"^\d+$"):
        in_parallel(work, range(1000))
    assert len(begun) <= WORKERS
