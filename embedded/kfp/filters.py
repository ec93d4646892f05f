"""The `filter` of a list: converts predicates of upstream's `Filter` message to SQL. Pure.

Every column is text. Times are compared as instants, truncated to whole seconds as in upstream's database, so
`...:55Z` matches what was created at `...:55.4`.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from embedded.kfp.failures import invalid
from embedded.kfp.requests import Body, first_problem

MAX_PREDICATES: Final = 50
TIMES: Final = frozenset({"created_at", "finished_at", "last_run_created_at"})
"""Columns with times."""

_WORDS: Final = {
    "storage_state": ("AVAILABLE", "ARCHIVED"),
    "state": ("PENDING", "RUNNING", "SUCCEEDED", "SKIPPED", "FAILED", "CANCELING", "CANCELED", "PAUSED"),
}
"""Columns with a fixed set of values."""

_OPERATIONS: Final = ("OPERATION_UNSPECIFIED", "EQUALS", "NOT_EQUALS", "GREATER_THAN", "GREATER_THAN_EQUALS",
                      "LESS_THAN", "LESS_THAN_EQUALS", "IN", "IS_SUBSTRING")  # fmt: skip
_SQL: Final = {"EQUALS": "=", "NOT_EQUALS": "IS NOT", "GREATER_THAN": ">", "GREATER_THAN_EQUALS": ">=",
               "LESS_THAN": "<", "LESS_THAN_EQUALS": "<="}  # fmt: skip
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_WHOLE_SECONDS: Final = len("2026-01-01T00:00:00")

_Text = Annotated[str, Field(max_length=10_000)]


class _Values(Body):
    values: Annotated[tuple[Any, ...], Field(max_length=1000)] = ()


class _Predicate(Body):
    key: _Text
    operation: int | Literal[_OPERATIONS]  # type: ignore[valid-type]
    string_value: _Text | None = None
    timestamp_value: _Text | None = None
    int_value: int | None = None
    long_value: int | _Text | None = None
    string_values: _Values | None = None
    int_values: _Values | None = None
    long_values: _Values | None = None


class _Filter(Body):
    predicates: Annotated[tuple[_Predicate, ...], Field(max_length=MAX_PREDICATES)] = ()


def clauses(text: str, columns: Mapping[str, str], arguments: dict[str, Any]) -> list[str]:
    """Return SQL conditions and add their arguments; raise ApiError if the filter is not valid."""
    if not text:
        return []
    try:
        parsed = _Filter.model_validate_json(text)
    except ValidationError as error:
        raise invalid(f"filter: {first_problem(error)}") from error
    return [_clause(one, columns, f"p_{number}", arguments) for number, one in enumerate(parsed.predicates)]


def instant(text: str) -> str:
    """Convert an RFC 3339 time to the format of the database, in UTC and whole seconds."""
    not_a_time = invalid(f"filter: {text[:60]!r} is not a time with a zone, such as 2026-01-31T12:00:00Z")
    if not _RFC3339.fullmatch(text):
        raise not_a_time
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise not_a_time from error
    return moment.replace(tzinfo=None).isoformat(timespec="seconds")


def _clause(one: _Predicate, columns: Mapping[str, str], name: str, arguments: dict[str, Any]) -> str:
    if one.key not in columns:
        raise invalid(f"filter: {one.key[:80]!r} is not one of {', '.join(columns)}")
    column = columns[one.key]
    operation = _operation(one)
    compared = f"substr({column}, 1, {_WHOLE_SECONDS})" if column in TIMES else column
    value = _value(one, operation)
    if operation == "IN":
        arguments[name] = json.dumps([_comparable(one.key, column, item) for item in value])
        return f"{compared} IN (SELECT value FROM json_each(:{name}))"  # noqa: S608 - our own column names
    if operation == "IS_SUBSTRING":
        if column in TIMES:
            raise invalid(f"filter: {one.key!r} is a time, and times have no substrings")
        arguments[name] = value
        return f"instr({column}, :{name}) > 0"
    arguments[name] = _comparable(one.key, column, value)
    return f"{compared} {_SQL[operation]} :{name}"


def _operation(one: _Predicate) -> str:
    number = one.operation
    name = str(number) if isinstance(number, str) else dict(enumerate(_OPERATIONS)).get(number, "")
    if name not in (*_SQL, "IN", "IS_SUBSTRING"):
        raise invalid(f"filter: operation {str(number)[:40]!r} on {one.key[:80]!r} is not supported")
    return name


def _value(one: _Predicate, operation: str) -> Any:  # noqa: ANN401 - text, or a list where it is IN
    fields = ("string_value", "timestamp_value", "int_value", "long_value",
              "string_values", "int_values", "long_values")  # fmt: skip
    present = {field: getattr(one, field) for field in fields if getattr(one, field) is not None}
    if len(present) != 1:
        raise invalid(
            f"filter: the predicate on {one.key!r} has {len(present)} values; exactly one is required"
        )
    [(field, value)] = present.items()
    accepted = ("string_values",) if operation == "IN" else ("string_value", "timestamp_value")
    if field not in accepted:
        raise invalid(f"filter: {operation} on {one.key!r} requires {' or '.join(accepted)}, not {field}")
    return value.values if operation == "IN" else value


def _comparable(key: str, column: str, value: object) -> str:
    if not isinstance(value, str):
        raise invalid(f"filter: the values of the predicate on {key!r} are not all strings")
    if column in TIMES:
        return instant(value)
    if column in _WORDS and value not in _WORDS[column]:
        raise invalid(f"filter: {value[:40]!r} is not a {key}: {', '.join(_WORDS[column])}")
    return value
