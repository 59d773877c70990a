"""The shape of columns and of what is derived from them, and the few operations that every derivation shares.

Columns are one mapping, variable name to an array with one entry per row: float64 with NaN for unknown (numbers and
flags), objects with None for unknown (words and sets). A column that is absent is unknown throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]
Objects = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Derived:
    """A derived column and where each of its entries came from.

    ``value``: float64, shape (rows,), NaN for unknown. ``tell`` works out the source, which a model's matrix does
    without.
    """

    value: Floats
    tell: Callable[[], Objects]

    @property
    def source(self) -> Objects:
        """Objects, shape (rows,), a short code, or None where nothing was known at all."""
        return self.tell()

    def otherwise(self, derive: Callable[[], Derived]) -> Derived:
        """Row by row this one where it is known, else the other, which is derived only if it is needed."""
        known = self.value == self.value
        if known.all():
            return self
        other = derive()
        value = np.where(known, self.value, other.value)
        return Derived(value, lambda: np.where(known, self.source, other.source))


def rows_of(columns: Columns) -> int:
    """How many rows the columns have; 0 without columns."""
    for values in columns.values():
        return len(values)
    return 0


def number(columns: Columns, name: str) -> Floats:
    """A number or flag column, shape (rows,); all NaN when it is absent."""
    found = columns.get(name)
    return np.full(rows_of(columns), np.nan) if found is None else found


def words(columns: Columns, name: str) -> Objects:
    """A column of words or sets, shape (rows,); all None when it is absent."""
    found = columns.get(name)
    return np.full(rows_of(columns), None, dtype=object) if found is None else found


def coded(columns: Columns, name: str, codes: Mapping[Any, float], otherwise: float = np.nan) -> Floats:
    """A column of words as numbers, shape (rows,); ``otherwise`` for a word without a code, NaN if it is absent.

    Unknown is a word without a code too, if ``codes`` gives None none.
    """
    found = columns.get(name)
    if found is None:
        return np.full(rows_of(columns), np.nan)
    return np.array([codes.get(word, otherwise) for word in found.tolist()], dtype=np.float64)


def per_positive(numerator: Floats, denominator: Floats) -> Floats:
    """``numerator / denominator``, NaN where the denominator is not above 0: a height of 0 measures nothing."""
    return np.asarray(numerator / np.where(denominator > 0, denominator, np.nan))


def known_from(value: Floats, code: str | Objects) -> Derived:
    """A column whose source (one for all, or one per row) is the code wherever something is known."""
    return Derived(value, lambda: _code_where(value == value, code))


def _code_where(known: NDArray[np.bool_], code: str | Objects) -> Objects:
    source = np.full(len(known), None, dtype=object)
    source[known] = code if isinstance(code, str) else code[known]
    return source


def first_known(columns: Columns, candidates: Sequence[tuple[str, Floats]]) -> Derived:
    """Row by row the first candidate that is known, and its code; without candidates nothing is."""
    value = candidates[0][1] if candidates else np.full(rows_of(columns), np.nan)
    for _, candidate in candidates[1:]:
        value = np.where(value == value, value, candidate)
    return Derived(value, lambda: _first_code(len(value), candidates))


def _first_code(rows: int, candidates: Sequence[tuple[str, Floats]]) -> Objects:
    source = np.full(rows, None, dtype=object)
    for code, candidate in reversed(candidates):
        source[candidate == candidate] = code
    return source
