"""Statistics of each column, collected in bounded memory: counts, limits, signs of leakage."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabular.limits import MAX_CATEGORIES, MAX_CLASSES
from tabular.numbers import Numbers
from tabular.split import Codes, Keys, text_hash

EXACT_WHOLE: Final = 1 << 24
"""Largest magnitude up to which float32 represents every whole number exactly."""
_SAMPLE: Final = 1 << 17
"""Size of the sample that decides whether the whole numbers of a column are unique."""


class NumberColumn:
    """Statistics of a numeric column, updated in batches."""

    def __init__(self) -> None:
        self.minimum = np.inf
        self.maximum = -np.inf
        self.rounded = False
        self.rising = True
        self.falling = True
        self.whole = True
        self._last: float | None = None
        self._distinct = UniqueValues()
        self.leak = RangeSeparation()
        self.codes_leak = ValueSeparation()

    @property
    def constant(self) -> bool:
        """Whether every row has the same value."""
        return bool(self.minimum == self.maximum)

    @property
    def runs(self) -> bool:
        """Whether the values are strictly increasing or strictly decreasing."""
        return (self.rising or self.falling) and not self.constant

    @property
    def unique(self) -> bool:
        """Whether all values are distinct whole numbers."""
        return self.whole and self._distinct.unique

    def add(self, numbers: Numbers, codes: Codes) -> None:
        """Add the next rows, with their classes."""
        exact, values = numbers.exact, numbers.values
        self.minimum = min(self.minimum, float(values.min()))
        self.maximum = max(self.maximum, float(values.max()))
        if not self.rounded:
            large = np.abs(exact) > EXACT_WHOLE
            self.rounded = bool(large.any() and (exact[large] != values[large]).any())
        if self.rising or self.falling:
            self._follow(exact)
        if self.whole:
            self.whole = bool((exact == np.rint(exact)).all())
        if self.whole:
            self._distinct.add(exact.view(np.uint64))
        self.leak.add(values, codes)
        self.codes_leak.add(values.view(np.int32), codes)

    def _follow(self, exact: NDArray[np.float64]) -> None:
        before = exact if self._last is None else np.concatenate(([self._last], exact))
        steps = np.diff(before)
        self.rising &= bool((steps > 0).all())
        self.falling &= bool((steps < 0).all())
        self._last = float(exact[-1])


class TextColumn:
    """Statistics of a text column with few distinct values, updated in batches."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._hashes: dict[str, int] = {}
        self._codes: dict[str, int] = {}
        self.leak = ValueSeparation()

    @property
    def crowded(self) -> bool:
        """Whether there are more distinct values than a category may have."""
        return len(self.counts) > MAX_CATEGORIES

    def add(self, column: pa.Array, codes: Codes) -> Keys:
        """Add the next rows; return the hash of each of them."""
        encoded = pc.dictionary_encode(column)
        names, places = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
        for name, count in zip(names, np.bincount(places, minlength=len(names)), strict=True):
            self.counts[name] = self.counts.get(name, 0) + int(count)
            if name not in self._hashes:
                self._hashes[name] = text_hash(name)
                self._codes[name] = len(self._codes)
        own = np.array([self._codes[name] for name in names], dtype=np.int32)
        if not self.crowded:
            self.leak.add(own[places], codes)
        hashed: Keys = np.array([self._hashes[name] for name in names], dtype=np.uint64)[places]
        return hashed


class Labels:
    """The classes of the rows, numbered in order of appearance."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.counts: list[int] = []

    def add(self, column: pa.Array) -> Codes | None:
        """Return the class number of each of the next rows, or None if there are too many classes."""
        encoded = pc.dictionary_encode(column)
        names, places = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
        for name, count in zip(names, np.bincount(places, minlength=len(names)), strict=True):
            code = self.codes.setdefault(name, len(self.codes))
            if code == len(self.counts):
                self.counts.append(0)
            self.counts[code] += int(count)
        if len(self.codes) > MAX_CLASSES:
            return None
        codes: Codes = np.array([self.codes[name] for name in names], dtype=np.uint16)[places]
        return codes


class RangeSeparation:
    """Whether the value ranges of the classes are disjoint; stops once two of them overlap."""

    def __init__(self) -> None:
        self.alive = True
        self._low = np.full(MAX_CLASSES, np.inf, dtype=np.float32)
        self._high = np.full(MAX_CLASSES, -np.inf, dtype=np.float32)

    def add(self, values: NDArray[np.float32], codes: Codes) -> None:
        """Add the next rows."""
        if not self.alive:
            return
        np.minimum.at(self._low, codes, values)
        np.maximum.at(self._high, codes, values)
        seen = np.flatnonzero(self._low <= self._high)
        order = seen[np.argsort(self._low[seen])]
        self.alive = bool((self._high[order[:-1]] < self._low[order[1:]]).all())


class ValueSeparation:
    """Whether each value occurs in one class only; stops once one doesn't, or if there are too many."""

    def __init__(self) -> None:
        self.alive = True
        self.classes: dict[int, int] = {}

    def add(self, values: NDArray[np.int32], codes: Codes) -> None:
        """Add the next rows; each value is represented by an integer."""
        if not self.alive:
            return
        pairs = np.unique(values.astype(np.int64) << 16 | codes)
        if len(pairs) > MAX_CATEGORIES:
            self.alive = False
            return
        for pair in pairs.tolist():
            if self.classes.setdefault(pair >> 16, pair & 0xFFFF) != pair & 0xFFFF:
                self.alive = False
        self.alive &= len(self.classes) <= MAX_CATEGORIES


class UniqueValues:
    """Whether all values are distinct: exact up to a limit, beyond it for a sample of the values.

    The sample contains values, not rows: those whose hash ends in enough zero bits. It includes every row
    of a sampled value, so it detects duplicates.
    """

    def __init__(self) -> None:
        self.unique = True
        self._seen: Keys = np.zeros(0, dtype=np.uint64)
        self._mask = np.uint64(0)

    def add(self, values: Keys) -> None:
        """Add the next values, as bit patterns."""
        if not self.unique:
            return
        hashed = values * np.uint64(0x9E3779B97F4A7C15)
        hashed ^= hashed >> np.uint64(32)
        chosen = hashed[hashed & self._mask == 0]
        together = np.concatenate((self._seen, chosen))
        together.sort()
        self.unique = bool((together[1:] != together[:-1]).all())
        while len(together) > _SAMPLE:
            self._mask = self._mask << np.uint64(1) | np.uint64(1)
            together = together[together & self._mask == 0]
        self._seen = together
