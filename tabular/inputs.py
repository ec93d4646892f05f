"""Convert a table or named columns into the input tensors of a model. Pure, and without pyarrow.

The model server has no pyarrow, so a table is accepted by its interface.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from slipway.core.errors import UsageError
from tabular.schema import CATEGORIES, NUMBERS, Feature, TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

MAX_FLOAT32: Final = float(np.finfo(np.float32).max)

Column = NDArray[Any]
Feeds = dict[str, NDArray[Any]]


class InputError(UsageError):
    """A column is not valid; the message names it and says what the model expects."""


def from_table(schema: TableSchema, table: "pa.Table") -> Feeds:
    """Model inputs from a table; other columns, such as the target, are ignored.

    Raises:
        InputError: A feature is missing or has the wrong type, or a cell is not valid.
    """
    present = set(table.column_names)
    if missing := [each.name for each in schema.features if each.name not in present]:
        raise InputError(f"The table has no column {missing[0]!r}.", why=_requirement(schema, missing[0]))
    return from_columns(
        schema, {each.name: _of_arrow(each, table.column(each.name)) for each in schema.features}
    )


def _of_arrow(feature: Feature, column: Any) -> Column:  # noqa: ANN401 - pyarrow's, which isn't imported
    if column.null_count:
        raise InputError(
            f"Column {feature.name!r} has {column.null_count} missing cells.", why=_expected(feature)
        )
    if feature.kind == "number":
        values: Column = column.to_numpy()
        return values
    # Create one Python string for each distinct value, not for each cell.
    encoded = column.combine_chunks().dictionary_encode()
    distinct = np.array(encoded.dictionary.to_pylist(), dtype=object)
    cells: Column = distinct[encoded.indices.to_numpy()]
    return cells


def from_columns(schema: TableSchema, columns: Mapping[str, Column]) -> Feeds:
    """Model inputs from one array per feature. Features are in the order of the schema.

    Raises:
        InputError: A cell is neither text nor a finite number in the range of float32.
    """
    feeds: Feeds = {}
    if schema.numbers:
        feeds[NUMBERS] = np.stack(
            [numbers(each, columns[each.name]) for each in schema.features if each.kind == "number"], axis=1
        )
    if schema.categorical:
        feeds[CATEGORIES] = np.stack(
            [texts(each, columns[each.name]) for each in schema.features if each.kind == "category"], axis=1
        )
    return feeds


def numbers(feature: Feature, cells: Column) -> NDArray[np.float32]:
    """A numeric column as float32.

    Raises:
        InputError: A cell is missing, not a number, or outside the range of float32.
    """
    values = cells if cells.dtype == np.float32 else _float64(feature, cells)
    # This comparison is also false for NaN.
    if not (usable := np.abs(values) <= MAX_FLOAT32).all():
        row = int(np.flatnonzero(~usable)[0])
        raise InputError(
            f"Column {feature.name!r} has {values[row]} in row {row + 1}.",
            why="A number must be finite and in the range of float32.",
        )
    return values.astype(np.float32, copy=False)


def _float64(feature: Feature, cells: Column) -> NDArray[np.float64]:
    if cells.dtype == object:
        for row, cell in enumerate(cells, 1):
            # In Python, bool is a subclass of int. None is a missing cell.
            if isinstance(cell, bool) or not isinstance(cell, int | float | np.integer | np.floating):
                raise _wrong(feature, cell, row)
    elif cells.dtype.kind not in "iuf":
        raise _wrong(feature, cells[0] if len(cells) else "text", 1)
    try:
        return cells.astype(np.float64)
    except OverflowError as error:
        raise InputError(
            f"Column {feature.name!r} has a number that is too large.",
            why="A number must be finite and in the range of float32.",
        ) from error


def texts(feature: Feature, cells: Column) -> NDArray[np.object_]:
    """A categorical column as text.

    Raises:
        InputError: A cell is not text.
    """
    values = cells.astype(object)
    for row, cell in enumerate(values, 1):
        if not isinstance(cell, str):
            raise _wrong(feature, cell, row)
    try:
        "".join(values.tolist()).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"Column {feature.name!r} has text that is not valid Unicode.") from error
    return values


def _wrong(feature: Feature, cell: object, row: int) -> InputError:
    shown = "no value" if cell is None else repr(cell)[:60]
    return InputError(f"Column {feature.name!r} has {shown} in row {row}.", why=_expected(feature))


def _expected(feature: Feature) -> str:
    return "It must be a number." if feature.kind == "number" else "It must be text."


def _requirement(schema: TableSchema, name: str) -> str:
    return _expected(next(each for each in schema.features if each.name == name))
