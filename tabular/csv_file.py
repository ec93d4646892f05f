"""A CSV file in batches of text: every cell exactly as in the file, without type inference.

Arrow parses the file. If it reports an error, the slower parser of the standard library reads the file
again to find the line.
"""

import csv
import io
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import csv as arrow_csv

from tabular.encoding import not_utf8
from tabular.header import Header, read_header
from tabular.table_error import TableError

BLOCK_BYTES: Final = 4 << 20
"""Size of a parsed block; a row must be shorter."""
_END: Final = "\x1e"
"""Cell of a sentinel row appended to the file: if it isn't parsed as a row, a quote is not closed."""


class CsvFile:
    """A CSV file whose header has been read."""

    def __init__(self, path: Path, head: bytes, expected: Collection[str]) -> None:
        """Read the header from the file's first bytes; raises TableError."""
        self.path = path
        self.header: Header = read_header(path, head, expected)
        self.names = self.header.names
        self._misfit: Any = None

    def check_types(self, names: tuple[str, ...]) -> None:
        """Do nothing: every column of a CSV file is text."""

    def is_text(self, name: str) -> bool:
        """Whether the file declares the column as text; CSV declares no types."""
        return False

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, in order, each column as text.

        Raises:
            TableError: The file is not valid CSV; the message names the line.
        """
        last: pa.RecordBatch | None = None
        rows = 0
        try:
            with _Rows(self.path, self.header) as stream:
                for batch in self._open(stream):
                    if last is not None:
                        yield last
                    last = batch if batch.num_rows else last
                    rows += batch.num_rows
        except pa.ArrowInvalid as error:
            raise self._refusal(str(error)) from error
        if last is None or not _is_end(last):
            raise self._open_quote(rows - 1)
        yield last.slice(0, last.num_rows - 1)

    def place(self, row: int) -> str:
        """Line of a row (counted from 0) for a message. Reads the file up to that row."""
        for number, line, _ in self._records():
            if number == row:
                return f"line {line}"
        return f"row {row + 1}"

    def _open(self, stream: "_Rows") -> Iterator[pa.RecordBatch]:
        # Arrow gets numbers for names, so unusual names can't confuse it.
        columns = [str(index) for index in range(len(self.names))]
        reader = arrow_csv.open_csv(
            pa.PythonFile(stream, mode="r"),
            read_options=arrow_csv.ReadOptions(
                column_names=columns, block_size=BLOCK_BYTES, use_threads=False
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self.header.delimiter,
                newlines_in_values=True,
                ignore_empty_lines=True,
                invalid_row_handler=self._on_misfit,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False, null_values=[]
            ),
        )
        for batch in reader:
            yield pa.RecordBatch.from_arrays(batch.columns, names=list(self.names))

    def _on_misfit(self, row: Any) -> str:  # noqa: ANN401 - a class of Arrow's that can't be imported
        if not row.text.strip(" \t"):
            return "skip"
        self._misfit = row
        return "error"

    def _refusal(self, reason: str) -> TableError:
        """The error for what Arrow reported, with the line where it can be found."""
        if "invalid UTF8" in reason:
            return self._wrong_byte()
        if self._misfit is None and "straddl" in reason:
            return TableError(
                self.path,
                f"A row is longer than {BLOCK_BYTES >> 20} MiB. A quote may not be closed.",
                "Look for a cell with an opening quote and no closing quote.",
            )
        expected = len(self.names)
        for _, line, count in self._records():
            if count != expected:
                return TableError(self.path, f"Line {line} has {count} cells, the header has {expected}.")
        if self._misfit is not None and '"' in self._misfit.text:
            return TableError(self.path, "A quote is not closed.", "Close it, or double it if it is text.")
        return TableError(self.path, f"It is not valid CSV: {reason}")

    def _wrong_byte(self) -> TableError:
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    return not_utf8(self.path, number, line[error.start])
        return TableError(self.path, "It is not UTF-8 text.", "Save it as CSV in UTF-8.")

    def _open_quote(self, row: int) -> TableError:
        return TableError(
            self.path,
            f"A quote in the row that begins at {self.place(row)} is not closed.",
            "Close it, or double it if it is text.",
        )

    def _records(self) -> Iterator[tuple[int, int, int]]:
        """Index, first line and number of cells of each row; blank lines are not rows."""
        with self.path.open("rb") as raw:
            raw.seek(self.header.offset)
            text = io.TextIOWrapper(raw, encoding="utf-8", errors="replace", newline="")
            reader = csv.reader(text, delimiter=self.header.delimiter)
            number, line = 0, self.header.lines + 1
            limit = csv.field_size_limit(BLOCK_BYTES)
            try:
                for cells in reader:
                    if len(cells) > 1 or (cells and cells[0].strip(" \t")):
                        yield number, line, len(cells)
                        number += 1
                    line = self.header.lines + 1 + reader.line_num
            except csv.Error:
                return
            finally:
                csv.field_size_limit(limit)


class _Rows(io.RawIOBase):
    """The bytes of a file after its header, followed by the sentinel row."""

    def __init__(self, path: Path, header: Header) -> None:
        self._path = path
        self._file = path.open("rb")
        self._file.seek(header.offset)
        self._tail = ("\n" + header.delimiter.join([_END] * len(header.names)) + "\n").encode()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        if chunk:
            if b"\0" in chunk:
                raise TableError(self._path, "It contains null bytes, so it is not text.")
            return chunk
        tail, self._tail = self._tail[:size], self._tail[size:] if size >= 0 else b""
        return tail

    def close(self) -> None:
        self._file.close()
        super().close()


def _is_end(batch: pa.RecordBatch) -> bool:
    last = batch.num_rows - 1
    return all(column[last].as_py() == _END for column in batch.columns)
