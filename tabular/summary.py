"""The summary of a table that is shown before training."""

from typing import Literal

from pydantic import Field

from tabular.schema import ReadOptions, RowCounts, Split, StrictModel


class ColumnSummary(StrictModel):
    """One feature of the table."""

    name: str
    kind: Literal["number", "category"]
    minimum: float | None = None
    maximum: float | None = None
    values: int | None = Field(default=None, description="Distinct values of a category.")


class ClassSummary(StrictModel):
    """One class of the target, and its number of rows."""

    label: str
    rows: int
    held_out: int


class Summary(StrictModel):
    """A table after reading and splitting."""

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
