"""Lists of the API: filter, order, pages.

Pages go by key (the value sorted by and the id), so that rows which come or go between two pages neither
repeat nor hide others.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from embedded.kfp.database import Database, Row
from embedded.kfp.failures import invalid

_DEFAULT_SIZE: Final = 20
_MAX_SIZE: Final = 200

_OPERATIONS: Final = ("OPERATION_UNSPECIFIED", "EQUALS", "NOT_EQUALS", "GREATER_THAN", "GREATER_THAN_EQUALS",
                      "LESS_THAN", "LESS_THAN_EQUALS", "IN", "IS_SUBSTRING")  # fmt: skip
_SQL: Final = {"EQUALS": "=", "NOT_EQUALS": "<>", "GREATER_THAN": ">", "GREATER_THAN_EQUALS": ">=",
               "LESS_THAN": "<", "LESS_THAN_EQUALS": "<="}  # fmt: skip
_VALUES: Final = ("string_value", "int_value", "long_value", "timestamp_value", "stringValue", "intValue",
                  "longValue", "timestampValue")  # fmt: skip
_LISTS: Final = ("string_values", "int_values", "long_values", "stringValues", "intValues", "longValues")


@dataclass(frozen=True, slots=True)
class Listing:
    """What one kind of list can be filtered and sorted by: names of the API to columns."""

    table: str
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    rows: list[Row]
    next_page_token: str
    total: int


def page(database: Database, listing: Listing, query: Mapping[str, str], **equal: str | None) -> Page:
    """Rows of `listing` whose columns equal `equal` (None: any), by the query's options."""
    arguments: dict[str, Any] = {}
    clauses = []
    for column, value in equal.items():
        if value is not None:
            arguments[f"e_{column}"] = value
            clauses.append(f"{column} = :e_{column}")
    clauses += _predicates(listing, query.get("filter", ""), arguments)
    column, direction = _order(listing, query.get("sort_by", ""))
    size = _size(query.get("page_size", ""))
    where = " AND ".join(clauses) or "1"
    counted = database.select(f"SELECT count(*) AS n FROM {listing.table} WHERE {where}", arguments)  # noqa: S608
    # A token only continues the list that it came from.
    asked = hashlib.sha256(
        json.dumps([listing.table, where, arguments, column, direction]).encode()
    ).hexdigest()[:16]
    if token := query.get("page_token", ""):
        after = _read_token(token, asked)
        sign = ">" if direction == "ASC" else "<"
        where += f" AND ({column}, id) {sign} (:after_value, :after_id)"
        arguments |= {"after_value": after[0], "after_id": after[1]}
    ordered = f"ORDER BY {column} {direction}, id {direction} LIMIT {size + 1}"
    rows = database.select(f"SELECT * FROM {listing.table} WHERE {where} {ordered}", arguments)  # noqa: S608
    more = len(rows) > size
    rows = rows[:size]
    following = _token(rows[-1][column], rows[-1]["id"], asked) if more else ""
    return Page(rows, following, int(counted[0]["n"]))


def _size(text: str) -> int:
    if not text:
        return _DEFAULT_SIZE
    if not text.isascii() or not text.lstrip("-").isdigit() or len(text) > 9 or int(text) < 0:
        raise invalid(f"page_size {text[:20]!r} is not a whole number from 0 on")
    return min(int(text), _MAX_SIZE) or _DEFAULT_SIZE


def _order(listing: Listing, text: str) -> tuple[str, str]:
    words = text.split()
    if not words:
        return listing.columns["created_at"], "ASC"
    direction = words[1].upper() if len(words) > 1 else "ASC"
    if words[0] not in listing.columns or direction not in ("ASC", "DESC") or len(words) > 2:
        raise invalid(f"sort_by {text[:80]!r} is not one of {', '.join(listing.columns)}, with asc or desc")
    return listing.columns[words[0]], direction


def _predicates(listing: Listing, text: str, arguments: dict[str, Any]) -> list[str]:
    if not text:
        return []
    try:
        predicates = json.loads(text).get("predicates", [])
        return [_predicate(listing, one, number, arguments) for number, one in enumerate(predicates)]
    except (ValueError, AttributeError, TypeError) as error:
        raise invalid(f"filter is not a JSON object with predicates: {text[:80]!r}") from error


def _predicate(listing: Listing, one: Mapping[str, Any], number: int, arguments: dict[str, Any]) -> str:
    key, operation = one.get("key", ""), one.get("operation", "")
    if isinstance(operation, int) and 0 <= operation < len(_OPERATIONS):
        operation = _OPERATIONS[operation]
    if key not in listing.columns:
        raise invalid(f"filter: {str(key)[:80]!r} is not one of {', '.join(listing.columns)}")
    column, name = listing.columns[key], f"p_{number}"
    if operation == "IN":
        chosen: Any = next((one[field] for field in _LISTS if field in one), {})
        arguments[name] = json.dumps(chosen.get("values", []))
        return f"{column} IN (SELECT value FROM json_each(:{name}))"  # noqa: S608 - our own column names
    arguments[name] = next((one[field] for field in _VALUES if field in one), None)
    if not isinstance(arguments[name], str | int):
        raise invalid(f"filter: the predicate on {key!r} has no value")
    if operation == "IS_SUBSTRING":
        return f"instr({column}, :{name}) > 0"
    if operation not in _SQL:
        raise invalid(f"filter: operation {str(operation)[:40]!r} is not supported")
    return f"{column} {_SQL[operation]} :{name}"


def _token(value: object, identifier: str, asked: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([value, identifier, asked]).encode()).decode()


def _read_token(token: str, asked: str) -> tuple[object, str]:
    try:
        value, identifier, origin = json.loads(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise invalid("page_token is not one that this server gave out") from error
    if origin != asked:
        raise invalid("page_token belongs to a list with another filter or order")
    return value, identifier
