"""Lists: pagination skips no row, and times are compared as instants."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embedded.kfp import filters
from embedded.kfp.database import Database, new_id
from embedded.kfp.failures import ApiError
from embedded.kfp.listing import LISTINGS, page

MADE = "2026-03-01T12:00:55.400000Z"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "kfp.sqlite")
    yield made
    made.close()


def add(database: Database, name: str, **columns: Any) -> None:
    row = {"id": new_id(), "display_name": name, "namespace": "a", "description": "", "created_at": MADE,
           "storage_state": "AVAILABLE", "last_run_created_at": None, **columns}  # fmt: skip
    database.insert("experiments", row)


def walked(database: Database, **query: str) -> list[str]:
    seen: list[str] = []
    token = ""
    while True:
        got = page(database, LISTINGS["experiments"], {**query, "page_token": token})
        seen += [row["display_name"] for row in got.rows]
        assert got.total == 5
        token = got.next_page_token
        if not token:
            return seen


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("size", ["1", "2", "3", "5"])
def test_pages_include_rows_without_a_sort_value(database: Database, direction: str, size: str) -> None:
    for number in range(5):
        add(database, f"e{number}", last_run_created_at=MADE if number % 2 else None)
    seen = walked(database, sort_by=f"last_run_created_at {direction}", page_size=size)
    assert sorted(seen) == [f"e{number}" for number in range(5)]
    empty = [name for name in seen if name in ("e0", "e2", "e4")]
    assert (seen[:3] if direction == "asc" else seen[2:]) == empty


def matched(database: Database, operation: str, time: str, key: str = "created_at") -> bool:
    predicate = {"key": key, "operation": operation, "timestamp_value": time}
    asked = {"filter": json.dumps({"predicates": [predicate]})}
    return bool(page(database, LISTINGS["experiments"], asked).rows)


@pytest.mark.parametrize(("operation", "time", "holds"), [
    ("EQUALS", "2026-03-01T12:00:55Z", True),
    ("EQUALS", "2026-03-01T12:00:55.4Z", True),
    ("EQUALS", "2026-03-01T14:00:55+02:00", True),
    ("EQUALS", "2026-03-01T12:00:55+02:00", False),
    ("EQUALS", "2026-03-01T12:00:56Z", False),
    ("NOT_EQUALS", "2026-03-01T12:00:56Z", True),
    ("NOT_EQUALS", "2026-03-01T12:00:55Z", False),
    ("GREATER_THAN", "2026-03-01T12:00:54Z", True),
    ("GREATER_THAN", "2026-03-01T12:00:55Z", False),
    ("GREATER_THAN_EQUALS", "2026-03-01T07:00:55-05:00", True),
    ("LESS_THAN", "2026-03-01T12:00:56.000Z", True),
    ("LESS_THAN_EQUALS", "2026-03-01T12:00:54Z", False),
])  # fmt: skip
def test_times_are_compared_as_instants(database: Database, operation: str, time: str, holds: bool) -> None:
    add(database, "e")
    assert matched(database, operation, time) is holds


def test_a_missing_time_is_not_equal_to_any(database: Database) -> None:
    add(database, "e")
    assert matched(database, "NOT_EQUALS", MADE, "last_run_created_at")
    assert not matched(database, "EQUALS", MADE, "last_run_created_at")


@pytest.mark.parametrize("time", ["", "x", "2026-03-01", "2026-03-01T12:00:55", "2026-02-30T12:00:55Z",
                                  "9999-12-31T23:59:59-23:59", "2026-03-01T12:00:60Z",
                                  "\u0662026-03-01T12:00:55Z"])  # fmt: skip
def test_an_invalid_time_is_refused(database: Database, time: str) -> None:
    with pytest.raises(ApiError, match="is not a time"):
        filters.instant(time)


def test_a_page_token_of_another_list_is_refused(database: Database) -> None:
    for number in range(3):
        add(database, f"e{number}")
    token = page(database, LISTINGS["experiments"], {"page_size": "1"}).next_page_token
    assert page(database, LISTINGS["experiments"], {"page_size": "1", "page_token": token}).rows
    with pytest.raises(ApiError, match="another filter or order"):
        page(database, LISTINGS["experiments"], {"sort_by": "id", "page_token": token})
