"""Requirements on a training table beyond its format, and warnings about its data."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tabular.columns import EXACT_WHOLE, ValueSeparation
from tabular.numbers import BLANKS, is_number
from tabular.scan import Scan, regression
from tabular.schema import Split
from tabular.split import Codes, Groups, Mask, MissingClassError
from tabular.table_error import TableError, shown, some

_PANDAS_UNNAMED: Final = re.compile(r"Unnamed: \d+")
FEW_CATEGORIES: Final = 10
"""This many distinct values are always accepted; more must occur twice on average."""
MANY_VALUES: Final = 20
"""With more numeric classes, the task may be a regression."""
ENOUGH_ROWS: Final = 20
"""With fewer rows, a feature may separate the classes by chance."""
FEW_HELD_OUT: Final = 5


def require_trainable(scan: Scan) -> None:
    """Raise TableError if the columns of the table can't be trained on."""
    if scan.rows == 0:
        raise TableError(scan.path, "It has a header and no rows.")
    _require_classes(scan)
    for name, text in scan.texts.items():
        values = len(text.counts)
        if values > max(FEW_CATEGORIES, scan.rows // 2):
            raise TableError(
                scan.path,
                f"Column {shown(name)} is text with {values} distinct values in {scan.rows} rows; "
                f"it may be an identifier: {some(list(text.counts))}.",
                f"Exclude it with `--drop {name}`, or group its values.",
            )
    for name, number in scan.numbers.items():
        if _PANDAS_UNNAMED.fullmatch(name) and number.runs:
            raise TableError(
                scan.path,
                f"Column {shown(name)} is a row number without a name; it may be a saved index.",
                f"Name it in the header, or exclude it with `--drop '{name}'`.",
            )


def _require_classes(scan: Scan) -> None:
    names = list(scan.labels.codes)
    if len(names) < 2:
        raise TableError(
            scan.path,
            f"The target {shown(scan.target)} has only one class: {some(names)}. Two or more are required.",
        )
    stripped: dict[str, str] = {}
    for name in names:
        twin = stripped.setdefault(name.strip(), name)
        if twin != name:
            raise TableError(
                scan.path,
                f"The classes {shown(twin)} and {shown(name)} of the target {shown(scan.target)} differ "
                "only in surrounding spaces.",
                "Spell them the same.",
            )
    if len(names) > MANY_VALUES and all(is_number(name) for name in names):
        fractions = any(float(name) != round(float(name)) for name in names)
        if fractions or scan.rows < 5 * len(names):
            raise regression(scan.path, scan.target)


def require_split(scan: Scan, classes: Sequence[str], codes: Codes, split: Split) -> Mask:
    """Return which rows are held out; raises TableError if a class would be missing on one side."""
    groups = Groups(scan.take_keys(), codes, len(classes), split)
    least = len(classes) / groups.total
    if not least <= split.test_split <= 1 - least:
        low, high = math.ceil(least * 100) / 100, math.floor((1 - least) * 100) / 100
        raise TableError(
            scan.path,
            f"A test split of {split.test_split:g} of {groups.total} distinct rows is not enough for "
            f"{len(classes)} classes on both sides.",
            _split_fix(low, high),
        )
    try:
        return groups.held_out()
    except MissingClassError as error:
        raise TableError(
            scan.path,
            "Too few distinct rows to hold one out (2 are required) in the classes "
            f"{some([classes[code] for code in error.classes])}.",
            "Add rows, or remove these classes. Rows with equal features count once.",
        ) from error


def _split_fix(low: float, high: float) -> str:
    if low > high:
        return "Add rows."
    return f"Add rows, or set `--test-split` {f'from {low:g} to {high:g}' if low < high else f'{low:g}'}."


def warnings_of(scan: Scan, classes: Sequence[str], held_out: NDArray[np.int64]) -> tuple[str, ...]:
    """The warnings about a table that is suitable for training."""
    return tuple(_warnings(scan, classes, held_out))


def _warnings(scan: Scan, classes: Sequence[str], held_out: NDArray[np.int64]) -> Iterator[str]:
    yield from _leaks(scan)
    yield from _numbers(scan)
    yield from _texts(scan)
    yield from _class_names(classes)
    if rare := [name for name, count in zip(classes, held_out, strict=True) if count < FEW_HELD_OUT]:
        yield (
            f"Fewer than {FEW_HELD_OUT} rows are held out of the classes {some(rare)}: "
            "their scores are not reliable."
        )


def _leaks(scan: Scan) -> Iterator[str]:
    if scan.rows < ENOUGH_ROWS:
        return
    leaks = [
        name
        for name in scan.features
        if (
            name in scan.numbers
            and (scan.numbers[name].leak.alive or _determines_class(scan.numbers[name].codes_leak, scan))
        )
        or (name in scan.texts and _determines_class(scan.texts[name].leak, scan))
    ]
    for name in leaks:
        yield (
            f"Column {shown(name)} alone predicts the target perfectly; "
            "check that its value is known before the target."
        )


def _determines_class(values: ValueSeparation, scan: Scan) -> bool:
    """Whether each value occurs in one class only; not significant if values rarely repeat."""
    return values.alive and 2 * len(values.classes) <= scan.rows


def _numbers(scan: Scan) -> Iterator[str]:
    for name, number in scan.numbers.items():
        if number.constant:
            yield f"Column {shown(name)} has only one value: {number.minimum:g}."
        elif number.runs and scan.rows > 2:
            way = "rises" if number.rising else "falls"
            yield f"Column {shown(name)} {way} from each row to the next; it may be a row number."
        elif number.unique and scan.rows >= ENOUGH_ROWS:
            yield f"Column {shown(name)} has a different whole number in every row; it may be an identifier."
        if number.rounded:
            yield (
                f"Column {shown(name)} has numbers that float32 rounds: digits beyond the seventh "
                f"(whole numbers beyond {EXACT_WHOLE:,}) are lost."
            )


def _texts(scan: Scan) -> Iterator[str]:
    for name, text in scan.texts.items():
        if len(text.counts) == 1:
            yield f"Column {shown(name)} has only one value: {some(list(text.counts))}."
        elif len(text.counts) == scan.rows:
            yield f"Column {shown(name)} has a different text in every row; it may be an identifier."
        twins = _twins(text.counts)
        if twins:
            yield f"Column {shown(name)} has values that differ only in spaces or case: {some(twins)}."
        numeric = sum(count for value, count in text.counts.items() if is_number(value))
        if name in scan.first_text and numeric:
            first = next(value for value in text.counts if not is_number(value))
            yield (
                f"Column {shown(name)} is read as text: {numeric} of {scan.rows} cells are numbers, "
                f"but not {shown(first)}."
            )


def _class_names(classes: Sequence[str]) -> Iterator[str]:
    values: dict[float, list[str]] = {}
    for name in classes:
        if is_number(name):
            values.setdefault(float(name), []).append(name)
    for names in values.values():
        if len(names) > 1:
            yield (
                f"The classes {some(names)} are the same number in different notations; "
                "they are separate classes."
            )
    if twins := _twins(classes):
        yield f"The classes {some(twins)} differ only in case; they are separate classes."


def _twins(names: "Sequence[str] | dict[str, int]") -> list[str]:
    seen: dict[str, str] = {}
    twins: list[str] = []
    for name in names:
        other = seen.setdefault(name.strip(BLANKS).casefold(), name)
        if other != name:
            twins += [other, name]
    return list(dict.fromkeys(twins))
