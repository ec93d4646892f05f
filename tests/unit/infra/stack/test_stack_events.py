"""The engine's event log, read into a summary."""

import json
from pathlib import Path

import pytest

from infra.stack.events import EventLog, Summary, plain
from infra.stack.pulumi_cli import error_in

URN = "urn:pulumi:local::slipway::kubernetes:core/v1:Secret::root-keys"


class Clock:
    """Time that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _error(message: str, urn: str = "") -> dict[str, object]:
    return {"diagnosticEvent": {"urn": urn, "message": message, "severity": "error", "prefix": "error: "}}


def _log(tmp_path: Path, *events: object) -> EventLog:
    path = tmp_path / "events.json"
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    log = EventLog(path)
    log.poll()
    return log


def test_changes_are_counted_by_the_engine(tmp_path: Path) -> None:
    log = _log(tmp_path, {"summaryEvent": {"resourceChanges": {"create": 2, "same": 3}}})
    summary = log.summary(1.5)
    assert summary.changes == {"create": 2, "same": 3}
    assert summary.changed


@pytest.mark.parametrize(("changes", "changed"), [({}, False), ({"same": 9}, False), ({"delete": 1}, True)])
def test_the_same_is_no_change(changes: dict[str, int], changed: bool) -> None:
    assert Summary(changes=changes, seconds=0).changed is changed


def test_no_resource_at_all_is_no_change(tmp_path: Path) -> None:
    assert _log(tmp_path, {"summaryEvent": {"resourceChanges": None}}).summary(0).changes == {}


def test_resources_are_timed_as_they_come_and_go(tmp_path: Path) -> None:
    path, clock = tmp_path / "events.json", Clock()
    log = EventLog(path, clock)
    log.poll()
    metadata = {"urn": URN, "op": "create"}
    with path.open("w") as file:
        file.write(json.dumps({"resourcePreEvent": {"metadata": metadata}}) + "\n")
        file.flush()
        log.poll()
        clock.now = 2.5
        ended = json.dumps({"resOutputsEvent": {"metadata": metadata}})
        file.write(ended[:10])
        file.flush()
        log.poll()
        file.write(ended[10:] + "\n")
        file.flush()
        log.poll()
    [timing] = log.summary(3).timings
    assert (timing.urn, timing.operation, timing.seconds) == (URN, "create", 2.5)


def test_what_stayed_the_same_is_not_timed(tmp_path: Path) -> None:
    same = {"metadata": {"urn": URN, "op": "same"}}
    assert _log(tmp_path, {"resourcePreEvent": same}, {"resOutputsEvent": same}).summary(0).timings == ()


def test_the_first_error_that_says_something_is_told(tmp_path: Path) -> None:
    log = _log(
        tmp_path,
        _error("update failed"),
        _error("<{%fg 1%}>1 error occurred:\n\t* the port is taken<{%reset%}>\n", URN),
        _error("another one"),
    )
    assert log.first_error() == "root-keys: the port is taken"


def test_an_empty_error_is_better_than_none(tmp_path: Path) -> None:
    assert _log(tmp_path, _error("update canceled")).first_error() == "update canceled"
    assert _log(tmp_path).first_error() == ""


def test_colours_go() -> None:
    assert plain("\x1b[31mred\x1b[0m <{%reset%}>plain") == "red plain"


@pytest.mark.parametrize(
    ("output", "error"),
    [
        ("Updating\n\x1b[31merror: \x1b[0mno such stack\nmore", "no such stack"),
        ("just\nthis\n\n", "this"),
        ("", "It printed nothing."),
    ],
)
def test_an_error_before_the_first_event_is_found_in_the_output(output: str, error: str) -> None:
    assert error_in(output) == error
