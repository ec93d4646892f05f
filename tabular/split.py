"""The split into training and held-out rows: repeatable and stratified; equal rows stay together.

Rows with equal features form a group, and a group is held out as a whole or not at all, so evaluation
never contains a copy of a training row. Groups are identified by a 64-bit hash of their model inputs:
float32 numbers and text. Of each class, the groups with the lowest hash after mixing in the seed are held
out, so the result does not depend on the order of the rows.
"""

import hashlib
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabular.schema import Feature, ReadOptions, RowCounts, Split, TableSchema

Keys = NDArray[np.uint64]
Codes = NDArray[np.uint16]
Mask = NDArray[np.bool_]

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)


def held_out(table: pa.Table, split: Split, target: str) -> Mask:
    """Which rows are held out.

    Args:
        table: What `tabular.reader.read` returned: float32 and text columns.
        split: Share and seed.
        target: Column with the class of each row.

    Raises:
        MissingClassError: A class would be missing on one side; `tabular.reader` raises TableError.
    """
    order = sorted(pc.unique(table[target]).to_pylist())
    codes = pc.index_in(table[target], value_set=pa.array(order)).to_numpy().astype(np.uint16)
    keys = first_keys(table.num_rows)
    for name in table.column_names:
        if name != target:
            keys = add_column(keys, column_hash(table[name]))
    return Groups(keys, codes, len(order), split).held_out()


class MissingClassError(ValueError):
    """One side of the split has no row of some classes."""

    def __init__(self, classes: list[int]) -> None:
        """Store the numbers of the classes."""
        super().__init__(f"a side of the split has no row of the classes {classes}")
        self.classes = classes


class Groups:
    """The groups of equal rows of a table, and the class that each group is assigned to."""

    def __init__(self, keys: Keys, codes: Codes, classes: int, split: Split) -> None:
        """Group rows by the hash of their features (`keys`, modified in place) and their class number."""
        self._codes = codes
        self._classes = classes
        self._split = split
        keys ^= _mix(np.full(1, split.seed, dtype=np.uint64))
        self._mixed = _mix(keys)
        groups = [_distinct(self._mixed[codes == code]) for code in range(classes)]
        self._shared, counts = _shared(groups)
        self._groups = _owned(groups, self._shared, counts) if len(counts) else groups

    @property
    def total(self) -> int:
        """Number of groups."""
        return sum(len(own) for own in self._groups)

    def held_out(self) -> Mask:
        """Which rows are held out; raises MissingClassError."""
        out = np.zeros(len(self._mixed), dtype=bool)
        decided = np.zeros(len(self._shared), dtype=bool)
        for code, own in enumerate(self._groups):
            if len(own) < 2:
                continue
            limit = own[min(max(round(len(own) * self._split.test_split), 1), len(own) - 1) - 1]
            out |= (self._codes == code) & (self._mixed <= limit)
            if len(decided):
                decided |= np.isin(self._shared, own[own <= limit], assume_unique=True)
        if len(decided):
            place = np.searchsorted(self._shared, self._mixed)
            place[place == len(decided)] = 0
            rows = self._shared[place] == self._mixed
            out[rows] = decided[place[rows]]
        sides = (np.bincount(self._codes[side], minlength=self._classes) for side in (out, ~out))
        if missing := sorted({int(code) for side in sides for code in np.flatnonzero(side == 0)}):
            raise MissingClassError(missing)
        return out


def fitted_schema(
    table: pa.Table,
    out: Mask,
    *,
    read: ReadOptions,
    split: Split,
    data_sha256: str,
    warnings: tuple[str, ...] = (),
) -> TableSchema:
    """The schema of a table that was split; categories are those of the training rows."""
    train = table.filter(pa.array(~out))
    features = tuple(_feature(train, name) for name in table.column_names if name != read.target)
    return TableSchema(
        features=features,
        classes=tuple(sorted(pc.unique(table[read.target]).to_pylist())),
        data_sha256=data_sha256,
        read=read,
        split=split,
        rows=RowCounts(train=train.num_rows, held_out=int(out.sum())),
        warnings=warnings,
    )


def column_hash(column: pa.ChunkedArray | pa.Array) -> Keys:
    """Hash the model inputs of a column: float32 values or text."""
    if pa.types.is_floating(column.type):
        values = np.asarray(column.to_numpy(), dtype=np.float32) + np.float32(0)
        return values.view(np.uint32).astype(np.uint64)
    distinct = pc.unique(column)
    hashes = np.array([text_hash(text) for text in distinct.to_pylist()], dtype=np.uint64)
    hashed: Keys = hashes[pc.index_in(column, value_set=distinct).to_numpy()]
    return hashed


def text_hash(text: str) -> int:
    """64-bit hash of a text, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def first_keys(rows: int) -> Keys:
    """Initial keys of rows, before a column is added."""
    return np.full(rows, _GOLDEN)


def add_column(keys: Keys, hashed: Keys) -> Keys:
    """Mix the hash of one more column into the keys of the rows."""
    return _mix(keys + _GOLDEN ^ hashed)


def _mix(values: Keys) -> Keys:
    """Mix values in place, so that every input bit affects every output bit; return them.

    This is the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
    """
    values ^= values >> np.uint64(30)
    values *= _FIRST
    values ^= values >> np.uint64(27)
    values *= _SECOND
    values ^= values >> np.uint64(31)
    return values


def _distinct(values: Keys) -> Keys:
    """The distinct values, sorted in place; `np.unique` takes four times as long for many distinct values."""
    values.sort()
    return values[np.concatenate(([True], values[1:] != values[:-1]))] if len(values) else values


def _shared(groups: list[Keys]) -> tuple[Keys, NDArray[np.int64]]:
    """The groups that occur in more than one class, and in how many."""
    every = np.concatenate(groups)
    every.sort()
    twice = every[1:][every[1:] == every[:-1]]
    shared, more = np.unique(twice, return_counts=True)
    return shared, more + 1


def _owned(groups: list[Keys], shared: Keys, classes: NDArray[np.int64]) -> list[Keys]:
    """Assign each shared group to one of its classes, chosen evenly by its hash."""
    owner = _mix(shared.copy()) % classes.astype(np.uint64)
    passed = np.zeros(len(shared), dtype=np.uint64)
    owned = []
    for own in groups:
        place = np.searchsorted(shared, own)
        place[place == len(shared)] = 0
        is_shared = shared[place] == own
        owned.append(own[~is_shared | (passed[place] == owner[place])])
        passed[place[is_shared]] += np.uint64(1)
    return owned


def _feature(train: pa.Table, name: str) -> Feature:
    if pa.types.is_floating(train[name].type):
        return Feature(name=name, kind="number")
    return Feature(name=name, kind="category", categories=tuple(sorted(pc.unique(train[name]).to_pylist())))
