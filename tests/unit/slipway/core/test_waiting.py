"""Waiting looks at once, at intervals, and a last time when the time is over."""

import time

import pytest

from slipway.core.waiting import changes, poll, tolerating, tries


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that only sleeping moves."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def test_the_last_try_comes_when_the_time_is_over(clock):
    at = [(clock[0], last) for last in tries(1.0, interval=0.4)]
    assert [last for _, last in at] == [False, False, False, True]
    assert [moment for moment, _ in at] == pytest.approx([100.0, 100.4, 100.8, 101.2])


@pytest.mark.parametrize("seconds", [0, -1])
def test_without_time_there_is_one_try(seconds):
    assert list(tries(seconds, interval=5)) == [True]


def test_poll_returns_what_was_waited_for():
    seen = iter(["", "", "ready", "never looked at"])
    meanwhile = []
    assert poll(lambda: next(seen), seconds=60, interval=1, meanwhile=meanwhile.append) == "ready"
    assert meanwhile == ["", ""]
    assert next(seen) == "never looked at"


def test_poll_returns_what_it_saw_last_when_time_is_over(clock):
    assert poll(lambda: "Pending", lambda state: state == "Ready", seconds=3, interval=1) == "Pending"
    assert clock[0] == 103.0


def test_an_error_ends_the_wait(clock):
    with pytest.raises(ZeroDivisionError):
        poll(lambda: 1 // 0, seconds=60, interval=1)
    assert clock[0] == 100.0


def test_an_outage_is_tolerated_until_it_lasts_too_long(clock):
    answers = {100.0: "up", 104.0: "up"}

    def look():
        if clock[0] in answers:
            return answers[clock[0]]
        raise ConnectionError

    patient = tolerating(look, ConnectionError, seconds=3)
    seen = []
    with pytest.raises(ConnectionError):
        for _ in tries(60, interval=1):
            seen.append(patient())
    assert seen == ["up", None, None, None, "up", None, None, None]


def test_only_a_changed_line_is_reported():
    lines = []
    report = changes(lines.append)
    for line in ("Pending", "Pending", "Running", "Pending"):
        report(line)
    assert lines == ["Pending", "Running", "Pending"]
