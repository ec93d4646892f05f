"""The protobuf structure of an ONNX file, checked before a parser reads it. Pure.

A parser allocates an object for every message, so a small file of empty messages can take gigabytes of
memory. This scan allocates none: it reads the bytes once, and refuses every field that is not in the
table below. This excludes external data, functions, subgraphs, sparse and training tensors, sequences,
maps, and repetitions of a field that is not repeated.

Field numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

MAX_FIELDS: Final = 200_000
"""Fields outside lists of numbers. A model of 1,000 categorical features has about 40,000."""

VARINT, TEXT, FLOAT = 0, 2, 5
"""Wire types of protobuf: an integer, a length and that many bytes, four bytes."""


@dataclass(frozen=True)
class FieldRule:
    """A permitted field of a message."""

    wire: int
    repeated: bool = False
    message: "Mapping[int, FieldRule] | None" = None


def _one(message: Mapping[int, FieldRule]) -> FieldRule:
    return FieldRule(TEXT, message=message)


def _many(message: Mapping[int, FieldRule]) -> FieldRule:
    return FieldRule(TEXT, repeated=True, message=message)


_TEXT: Final = FieldRule(TEXT)
_INT: Final = FieldRule(VARINT)
_INTS: Final = FieldRule(VARINT, repeated=True)
_TEXTS: Final = FieldRule(TEXT, repeated=True)
_DIMENSION: Final = {1: _INT, 2: _TEXT}
_TENSOR_TYPE: Final = {1: _INT, 2: _one({1: _many(_DIMENSION)})}
_VALUE: Final = {1: _TEXT, 2: _one({1: _one(_TENSOR_TYPE)})}
_TENSOR: Final = {1: _INTS, 2: _INT, 7: _TEXT, 8: _TEXT, 9: _TEXT}
_ATTRIBUTE: Final = {
    1: _TEXT,
    3: _INT,
    4: _TEXT,
    7: FieldRule(FLOAT, repeated=True),
    8: _INTS,
    9: _TEXTS,
    20: _INT,
}
_NODE: Final = {1: _TEXTS, 2: _TEXTS, 3: _TEXT, 4: _TEXT, 5: _many(_ATTRIBUTE), 6: _TEXT, 7: _TEXT}
_GRAPH: Final = {
    1: _many(_NODE),
    2: _TEXT,
    5: _many(_TENSOR),
    10: _TEXT,
    11: _many(_VALUE),
    12: _many(_VALUE),
}
MODEL: Final[Mapping[int, FieldRule]] = {
    1: _INT,
    2: _TEXT,
    3: _TEXT,
    4: _TEXT,
    5: _INT,
    6: _TEXT,
    7: _one(_GRAPH),
    8: _many({1: _TEXT, 2: _INT}),
}

_RUNS: Final = {
    # Lists of numbers and of the modes of tree nodes are long. One match skips each of them; the
    # possessive `++` prevents backtracking, which would store a position for every element.
    7: re.compile(rb"(?:\x3d.{4})++", re.DOTALL),
    8: re.compile(rb"(?:\x40[\x80-\xff]{0,9}+[\x00-\x7f])++"),
    9: re.compile(rb"(?:\x4a(?:\x0aBRANCH_LEQ|\x04LEAF))++"),
}


class StructureError(ValueError):
    """The structure is not permitted; the text says where and why."""


def scan(content: bytes) -> None:
    """Check every field of a file against the table.

    Raises:
        StructureError: A field is unknown, repeated, of the wrong type or truncated, or there are too many.
    """
    left = MAX_FIELDS
    pending: list[tuple[int, int, Mapping[int, FieldRule]]] = [(0, len(content), MODEL)]
    while pending:
        position, end, allowed = pending.pop()
        for field, start, stop in _fields(content, position, end, allowed):
            left -= 1
            if left < 0:
                raise StructureError(f"it has more than {MAX_FIELDS} fields")
            if field.message is not None:
                pending.append((start, stop, field.message))


def _fields(
    content: bytes, position: int, end: int, allowed: Mapping[int, FieldRule]
) -> Iterator[tuple[FieldRule, int, int]]:
    """The fields of one message, each with the range of its content."""
    seen: set[int] = set()
    while position < end:
        field_start = position
        tag, position = _varint(content, position, end)
        number, wire = tag >> 3, tag & 7
        field = allowed.get(number)
        if field is None or field.wire != wire:
            raise StructureError(f"field {number} of type {wire} at byte {field_start} is not allowed")
        if number in seen and not field.repeated:
            raise StructureError(f"field {number} at byte {field_start} is repeated")
        seen.add(number)
        if (
            allowed is _ATTRIBUTE
            and (run := _RUNS.get(number))
            and (match := run.match(content, field_start, end))
        ):
            start, stop = field_start, match.end()
        else:
            start, stop = _content(content, position, end, wire)
        if stop > end:
            raise StructureError(f"field {number} at byte {field_start} is truncated")
        position = stop
        yield field, start, stop


def _content(content: bytes, position: int, end: int, wire: int) -> tuple[int, int]:
    if wire == VARINT:
        return position, _varint(content, position, end)[1]
    if wire == FLOAT:
        return position, position + 4
    size, start = _varint(content, position, end)
    return start, start + size


def _varint(content: bytes, position: int, end: int) -> tuple[int, int]:
    """The integer at `position`, and the position after it."""
    value = 0
    for count in range(10):
        if position + count >= end:
            break
        byte = content[position + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, position + count + 1
    raise StructureError(f"the integer at byte {position} is truncated or too long")
