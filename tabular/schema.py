"""The schema of a table and of a model: columns, classes, how the file was read and split. Pure.

A model's `schema.json` is a `ModelSchema`. It contains everything that is needed to read the same file
again, repeat its split, and request predictions.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

TARGET: Final = "target"
"""Default name of the column to predict."""

NUMBERS: Final = "numbers"
"""Model input: float32, rows x numeric features in the order of the schema."""
CATEGORIES: Final = "categories"
"""Model input: text, rows x categorical features in the order of the schema."""
LABEL: Final = "label"
"""Model output: text, one class per row, spelled as in the data."""
PROBABILITIES: Final = "probabilities"
"""Model output: float32, rows x classes in the order of the schema."""

MISSING: Final = ("", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL")
"""Cells that count as missing by default. `None` and `none` are ordinary values."""


class StrictModel(BaseModel):
    """Base of the records that are stored in files: strict and frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ReadOptions(StrictModel):
    """How a file is read; the same bytes and options give the same table."""

    target: str = Field(default=TARGET, min_length=1, description="Column to predict.")
    drop: tuple[str, ...] = Field(default=(), description="Columns to leave out.")
    missing: tuple[str, ...] = Field(default=MISSING, description="Cells that count as missing.")


class Split(StrictModel):
    """Which rows are held out; the same table and split give the same rows."""

    test_split: float = Field(default=0.2, gt=0, lt=1, description="Share of the rows to hold out.")
    seed: int = Field(default=42, ge=0, le=2**31 - 1, description="Makes the split repeatable.")


class Feature(StrictModel):
    """One input column of the model."""

    name: str
    kind: Literal["number", "category"]
    categories: tuple[str, ...] = Field(
        default=(), description="Values in the training rows, sorted; any other is unknown to the model."
    )

    @model_validator(mode="after")
    def _categories_of_a_category(self) -> Self:
        if (self.kind == "category") != bool(self.categories):
            raise ValueError(
                f"feature {self.name!r} of kind {self.kind} with {len(self.categories)} categories"
            )
        return self


class RowCounts(StrictModel):
    """Number of rows on each side of the split."""

    train: int = Field(ge=1)
    held_out: int = Field(ge=1)


class TableSchema(StrictModel):
    """The schema that `preprocess` derived from the data."""

    schema_version: Literal[2] = 2
    task: Literal["classification"] = "classification"
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    data_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    read: ReadOptions
    split: Split
    rows: RowCounts
    warnings: tuple[str, ...] = Field(default=(), description="What a person should know of the data.")

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the numeric features, in the order of the model's input `numbers`."""
        return tuple(each.name for each in self.features if each.kind == "number")

    @property
    def categorical(self) -> tuple[str, ...]:
        """Names of the categorical features, in the order of the model's input `categories`."""
        return tuple(each.name for each in self.features if each.kind == "category")


class ModelSchema(TableSchema):
    """`schema.json` of a model: its training table, frameworks and parameters."""

    frameworks: dict[str, str] = Field(description="Library -> version that trained and wrote the model.")
    parameters: dict[str, str | int | float | bool | None]
