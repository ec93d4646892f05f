"""Lists of the API: filter, order, pages.

Pagination is by key (the sort value and the id), so inserting or deleting rows between two pages neither
repeats nor skips others. A null in the sort column sorts as an empty value.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter

from embedded.kfp import filters
from embedded.kfp.database import Database, Row
from embedded.kfp.failures import invalid

_DEFAULT_SIZE: Final = 20
_MAX_SIZE: Final = 200
_TOKEN: Final = TypeAdapter(tuple[str, str, str])
_COMMON: Final = {"display_name": "display_name", "name": "display_name", "created_at": "created_at",
                  "description": "description", "namespace": "namespace"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listing:
    """The fields that a list can be filtered and sorted by: API name -> column."""

    table: str
    columns: Mapping[str, str]


LISTINGS: Final = {
    "pipelines": Listing("pipelines", {**_COMMON, "name": "name", "id": "id", "pipeline_id": "id"}),
    "versions": Listing(
        "versions",
        {"display_name": "display_name", "name": "name", "created_at": "created_at",
         "description": "description", "id": "id", "pipeline_version_id": "id"},
    ),
    "experiments": Listing("experiments", {**_COMMON, "id": "id", "experiment_id": "id",
                                           "storage_state": "storage_state",
                                           "last_run_created_at": "last_run_created_at"}),
    "runs": Listing("runs", {**_COMMON, "id": "id", "run_id": "id", "experiment_id": "experiment_id",
                             "storage_state": "storage_state", "state": "state", "finished_at": "finished_at",
                             "service_account": "service_account", "scheduled_at": "created_at",
                             "pipeline_version_id": "version_id"}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    rows: list[Row]
    next_page_token: str
    total: int


def page(
    database: Database, listing: Listing, query: Mapping[str, str], **equal: str | tuple[str, ...] | None
) -> Page:
    """One page of `listing`, restricted to rows whose columns equal `equal`, with the query's options.

    In `equal`, None matches any value and a tuple matches each of its values.

    Raises:
        ApiError: An option is not valid; all are checked before rows are read.
    """
    arguments: dict[str, Any] = {}
    clauses = _equal(equal, arguments)
    clauses += filters.clauses(query.get("filter", ""), listing.columns, arguments)
    column, direction = _order(listing, query.get("sort_by", ""))
    size = _size(query.get("page_size", ""))
    where = " AND ".join(clauses) or "1"
    # A token is only valid for the list that it was issued for.
    list_id = hashlib.sha256(
        json.dumps([listing.table, where, arguments, column, direction]).encode()
    ).hexdigest()[:16]
    token = query.get("page_token", "")
    after = _read_token(token, list_id) if token else None
    count = database.select(f"SELECT count(*) AS n FROM {listing.table} WHERE {where}", arguments)  # noqa: S608
    key = f"COALESCE({column}, '')"
    if after is not None:
        where += f" AND ({key}, id) {'>' if direction == 'ASC' else '<'} (:after_value, :after_id)"
        arguments |= {"after_value": after[0], "after_id": after[1]}
    ordered = f"ORDER BY {key} {direction}, id {direction} LIMIT {size + 1}"
    rows = database.select(f"SELECT * FROM {listing.table} WHERE {where} {ordered}", arguments)  # noqa: S608
    more = len(rows) > size
    rows = rows[:size]
    following = _token(rows[-1][column] or "", rows[-1]["id"], list_id) if more else ""
    return Page(rows, following, int(count[0]["n"]))


def _equal(equal: Mapping[str, str | tuple[str, ...] | None], arguments: dict[str, Any]) -> list[str]:
    clauses = []
    for column, value in equal.items():
        if value is not None:
            several = (value,) if isinstance(value, str) else value
            arguments[f"e_{column}"] = json.dumps(several)
            clauses.append(f"{column} IN (SELECT value FROM json_each(:e_{column}))")  # noqa: S608 - our own column names
    return clauses


def _size(text: str) -> int:
    if not text:
        return _DEFAULT_SIZE
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise invalid(f"page_size {text[:20]!r} is not a non-negative integer")
    return min(int(text), _MAX_SIZE) or _DEFAULT_SIZE


def _order(listing: Listing, text: str) -> tuple[str, str]:
    words = text.split()
    if not words:
        return listing.columns["created_at"], "ASC"
    direction = words[1].upper() if len(words) > 1 else "ASC"
    if words[0] not in listing.columns or direction not in ("ASC", "DESC") or len(words) > 2:
        raise invalid(f"sort_by {text[:80]!r} is not one of {', '.join(listing.columns)}, with asc or desc")
    return listing.columns[words[0]], direction


def _token(value: str, identifier: str, list_id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([value, identifier, list_id]).encode()).decode()


def _read_token(token: str, list_id: str) -> tuple[str, str]:
    try:
        value, identifier, origin = _TOKEN.validate_json(base64.urlsafe_b64decode(token))
    except ValueError as error:  # the base of the errors of pydantic and base64
        raise invalid("page_token was not issued by this server") from error
    if origin != list_id:
        raise invalid("page_token belongs to a list with another filter or order")
    return value, identifier
