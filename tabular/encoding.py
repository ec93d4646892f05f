"""Detect the format of a file from its first bytes; anything but UTF-8 text and Parquet is refused."""

import codecs
from pathlib import Path
from typing import Final, Literal

from tabular.table_error import TableError

Format = Literal["csv", "parquet"]

_BOMS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_MAGIC: Final = (
    (b"PK\x03\x04", "a ZIP file or an Excel workbook", "Unpack it, or save the sheet as CSV in UTF-8."),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "Save the sheet as CSV in UTF-8."),
    (b"\x1f\x8b", "compressed with gzip", "Unpack it with `gunzip`."),
    (b"BZh", "compressed with bzip2", "Unpack it with `bunzip2`."),
    (b"\xfd7zXZ", "compressed with xz", "Unpack it with `unxz`."),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "Unpack it with `unzstd`."),
    (b"%PDF", "a PDF document", "Save the data as CSV in UTF-8."),
    (b"SQLite format 3", "an SQLite database", "Export the table as CSV in UTF-8."),
    (b"ARROW1", "an Arrow or Feather file", "Save it as Parquet or as CSV in UTF-8."),
    (b"\x80\x04", "a Python pickle", "Save the data as Parquet or as CSV in UTF-8."),
    (b"\x80\x05", "a Python pickle", "Save the data as Parquet or as CSV in UTF-8."),
)
PARQUET: Final = b"PAR1"


def format_of(path: Path, head: bytes) -> Format:
    """Return the format of a file that begins with `head`.

    Raises:
        TableError: Its first bytes are neither Parquet nor text in UTF-8.
    """
    if head.startswith(PARQUET):
        return "parquet"
    for magic, name, fix in _MAGIC:
        if head.startswith(magic):
            raise TableError(path, f"It is {name}, not CSV text or Parquet.", fix)
    for bom, name in _BOMS:
        if head.startswith(bom):
            raise _wrong_encoding(path, name)
    if b"\0" in head:
        even, odd = head[::2].count(0), head[1::2].count(0)
        likely = max(even, odd) > 0.8 * len(head[::2]) > 0 and min(even, odd) == 0
        if likely:
            raise _wrong_encoding(path, "UTF-16")
        raise TableError(path, "It contains null bytes, so it is not text.", "Save it as CSV in UTF-8.")
    return "csv"


def _wrong_encoding(path: Path, name: str) -> TableError:
    return TableError(
        path,
        f"It is text in {name}; only UTF-8 is supported.",
        f"Convert it with `iconv -f {name} -t UTF-8`, or save it as CSV in UTF-8.",
    )


def not_utf8(path: Path, line: int, byte: int) -> TableError:
    """The error for a file with a byte that is not UTF-8."""
    return TableError(
        path,
        f"It is not UTF-8 text: line {line} contains the byte 0x{byte:02X}. "
        "It may be Latin-1 or Windows-1252.",
        "Convert it with `iconv -f WINDOWS-1252 -t UTF-8`, or save it as CSV in UTF-8.",
    )
