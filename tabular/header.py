"""The header of a CSV file: the delimiter, the column names, and where the rows begin."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tabular.encoding import not_utf8
from tabular.limits import MAX_COLUMNS
from tabular.table_error import TableError, some

DELIMITERS: Final = {",": "comma", ";": "semicolon", "\t": "tab"}
HEAD_BYTES: Final = 1 << 20
"""Largest size of a header, in bytes."""


@dataclass(frozen=True)
class Header:
    """The first record of a file."""

    names: tuple[str, ...]
    """Without surrounding spaces."""
    delimiter: str
    offset: int
    """Byte offset of the first row."""
    lines: int
    """Lines before the first row: a name may contain a line break, and blank lines may come first."""


def read_header(path: Path, head: bytes, expected: Collection[str]) -> Header:
    """Read the header from the first bytes of a file.

    The delimiter is comma, semicolon or tab: the one that yields the most of the `expected` names, and
    among equals the one that yields the most columns.

    Raises:
        TableError: There is no valid header, or two names are equal.
    """
    start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head[start:])
    except UnicodeDecodeError as error:
        line = head[start : start + error.start].count(b"\n") + 1
        raise not_utf8(path, line, error.object[error.start]) from error
    candidates = [_parse(text, delimiter) for delimiter in DELIMITERS]
    read = [each for each in candidates if each is not None]
    if not read:
        if not text.strip():
            raise TableError(path, "It is empty.")
        raise TableError(path, "A quote in its header is not closed, or is followed by text.")
    best = max(read, key=lambda each: (len(set(expected) & set(each.names)), len(each.names)))
    header = Header(best.names, best.delimiter, start + best.offset, best.lines)
    if header.offset >= HEAD_BYTES:
        raise TableError(path, f"Its header does not end within {HEAD_BYTES >> 20} MiB.")
    check_names(path, header.names)
    return header


def check_names(path: Path, names: tuple[str, ...]) -> None:
    """Raise TableError if there are too many names or two are equal."""
    if len(names) > MAX_COLUMNS:
        raise TableError(path, f"It has {len(names)} columns; the limit is {MAX_COLUMNS}.")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        places = [index for index, name in enumerate(names, start=1) if name == twice[0]]
        if twice[0] == "":
            raise TableError(path, f"Columns {places[0]} and {places[1]} have no name.", "Name them.")
        raise TableError(
            path,
            f"Columns {places[0]} and {places[1]} are both named {some(twice[:1])}.",
            "Spaces around a name are ignored. Rename one of them.",
        )


def _parse(text: str, delimiter: str) -> Header | None:
    """Parse the first record; None if it does not end within the text."""
    used: list[str] = []

    def lines() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):
            used.append(line)
            yield line

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    try:
        cells = next((record for record in reader if any(cell.strip() for cell in record)), None)
    except csv.Error:
        return None
    if cells is None:
        return None
    return Header(
        names=tuple(cell.strip() for cell in cells),
        delimiter=delimiter,
        offset=sum(len(line.encode()) for line in used),
        lines=len(used),
    )
