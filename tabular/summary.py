"""What a person is shown of a table before it is trained on."""

from typing import Literal

from pydantic import Field

from tabular.schema import ReadOptions, Record, RowCounts, Split


class ColumnSummary(Record):
    """One feature as read."""

    name: str
    kind: Literal["number", "category"]
    minimum: float | None = None
    maximum: float | None = None
    values: int | None = Field(default=None, description="Different values of a category.")


class ClassSummary(Record):
    """One class of the target, and how many rows it has."""

    label: str
    rows: int
    held_out: int


class Summary(Record):
    """A table as read and split."""

    file: str
    format: Literal["csv", "parquet"]
    delimiter: str | None
    size: int
    sha256: str
    rows: int
    columns: tuple[ColumnSummary, ...]
    classes: tuple[ClassSummary, ...]
    dropped: tuple[str, ...]
    read: ReadOptions
    split: Split
    split_rows: RowCounts
    warnings: tuple[str, ...]
