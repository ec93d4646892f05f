"""Read tabular data: the local check, the pipeline step and promotion get the same table or error."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tabular.csv_file import CsvFile
from tabular.numbers import BLANKS
from tabular.scan import Keep, Scan, TextInNumbersError
from tabular.schema import ReadOptions, RowCounts, Split, TableSchema
from tabular.source import Source, open_source
from tabular.split import Mask, fitted_schema
from tabular.summary import ClassSummary, ColumnSummary, Summary
from tabular.table_error import TableError, shown, some
from tabular.training_rules import require_split, require_trainable, warnings_of


class TrainingData:
    """A table that was read and split."""

    def __init__(self, table: pa.Table, held_out: Mask, summary: Summary) -> None:
        """Combine a table, its held-out rows and its summary."""
        self.table = table
        self.held_out = held_out
        self.summary = summary

    def write(self, train: Path, held_out: Path) -> None:
        """Write the rows of each side of the split as a Parquet file."""
        text = [each.name for each in self.table.schema if pa.types.is_string(each.type)]
        with (
            parquet.ParquetWriter(train, self.table.schema, use_dictionary=text) as to_train,
            parquet.ParquetWriter(held_out, self.table.schema, use_dictionary=text) as to_held_out,
        ):
            first = 0
            for batch in self.table.to_batches():
                out = self.held_out[first : first + batch.num_rows]
                to_train.write_batch(batch.filter(pa.array(~out)))
                to_held_out.write_batch(batch.filter(pa.array(out)))
                first += batch.num_rows

    @property
    def schema(self) -> TableSchema:
        """The schema that a model of the table needs."""
        return fitted_schema(
            self.table,
            self.held_out,
            read=self.summary.read,
            split=self.summary.split,
            data_sha256=self.summary.sha256,
            warnings=self.summary.warnings,
        )


def read(path: Path, options: ReadOptions | None = None, split: Split | None = None) -> pa.Table:
    """Read a CSV or Parquet file for training.

    Returns:
        The features in the order of the file, numbers as float32 and categories as text, then the
        target as text.

    Raises:
        TableError: It is not suitable for training; the message names file, line and column.
    """
    return training_data(path, options, split).table


def inspect(path: Path, options: ReadOptions | None = None, split: Split | None = None) -> Summary:
    """Summarise what `read` would return, in memory independent of the number of columns.

    Raises:
        TableError: In the same cases as `read`.
    """
    _, _, summary = _scanned(path, options or ReadOptions(), split or Split(), lambda _: None)
    return summary


def training_data(path: Path, options: ReadOptions | None = None, split: Split | None = None) -> TrainingData:
    """Read a file and split it; raises TableError in the same cases as `read`."""
    options = options or ReadOptions()
    kept: list[dict[str, pa.Array]] = []
    scan, out, summary = _scanned(path, options, split or Split(), kept.append, restart=kept.clear)
    names = [*scan.features, options.target]
    types = [pa.string() if name in scan.texts or name == options.target else pa.float32() for name in names]
    columns = [
        pa.chunked_array([batch[name] for batch in kept], type=kind)
        for name, kind in zip(names, types, strict=True)
    ]
    return TrainingData(pa.table(columns, names=names), out, summary)


def _scanned(
    path: Path,
    options: ReadOptions,
    split: Split,
    keep: Keep,
    restart: Callable[[], None] = lambda: None,
) -> tuple[Scan, Mask, Summary]:
    source = open_source(path, {options.target}, text={options.target})
    _require_columns(source, options)
    scan = _scan(source, options, keep, restart)
    require_trainable(scan)
    classes, codes = sorted(scan.labels.codes), scan.codes
    out = require_split(scan, classes, codes, split)
    held_out = np.bincount(codes[out], minlength=len(classes))
    summary = _summary(scan, options, split, classes, held_out)
    return scan, out, summary


def _scan(source: Source, options: ReadOptions, keep: Keep, restart: Callable[[], None]) -> Scan:
    """Scan the file; scan it again whenever columns turn out to be text."""
    first_text: dict[str, int] = {}
    while True:
        scan = Scan(source, options, first_text)
        try:
            scan.run(keep)
        except TextInNumbersError as error:
            first_text |= error.first_text
            restart()
        else:
            return scan


def _require_columns(source: Source, options: ReadOptions) -> None:
    path, names = source.path, source.names
    if options.target not in names:
        raise TableError(
            path,
            f"There is no column {shown(options.target)}; the columns are {some(names)}.",
            "Set the column to predict with `--target`. Columns are separated by comma, semicolon or tab.",
        )
    dropped = {name.strip(BLANKS) for name in options.drop}
    if unknown := sorted(dropped - set(names)):
        raise TableError(path, f"There is no column {some(unknown)} to drop; the columns are {some(names)}.")
    if options.target in dropped:
        raise TableError(path, f"The target {shown(options.target)} can't be dropped.")
    if "" in names and "" not in dropped:
        raise TableError(
            path,
            f"Column {names.index('') + 1} has no name; it may be a saved index of row numbers.",
            "Name it in the header, or exclude it with `--drop ''`.",
        )
    features = tuple(name for name in names if name != options.target and name not in dropped)
    if not features:
        raise TableError(path, f"There is no feature column besides the target {shown(options.target)}.")
    source.check_types((*features, options.target))


def _summary(
    scan: Scan,
    options: ReadOptions,
    split: Split,
    classes: list[str],
    held_out: "np.typing.NDArray[np.int64]",
) -> Summary:
    with scan.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    rows = scan.labels.counts
    out = int(held_out.sum())
    is_csv = isinstance(scan.source, CsvFile)
    return Summary(
        file=str(scan.path),
        format="csv" if is_csv else "parquet",
        delimiter=scan.source.header.delimiter if isinstance(scan.source, CsvFile) else None,
        size=scan.path.stat().st_size,
        sha256=sha256,
        rows=scan.rows,
        columns=tuple(_column(scan, name) for name in scan.features),
        classes=tuple(
            ClassSummary(label=name, rows=rows[scan.labels.codes[name]], held_out=int(count))
            for name, count in zip(classes, held_out, strict=True)
        ),
        dropped=tuple(name for name in scan.source.names if name in options.drop),
        read=options,
        split=split,
        split_rows=RowCounts(train=scan.rows - out, held_out=out),
        warnings=warnings_of(scan, classes, held_out),
    )


def _column(scan: Scan, name: str) -> ColumnSummary:
    if name in scan.texts:
        return ColumnSummary(name=name, kind="category", values=len(scan.texts[name].counts))
    number = scan.numbers[name]
    return ColumnSummary(name=name, kind="number", minimum=number.minimum, maximum=number.maximum)
