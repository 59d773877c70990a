"""The shape of columns and of what is derived from them, and the few operations that every derivation shares.

Columns are one mapping, variable name to an array with one entry per row: float64 with NaN for unknown (numbers and
flags), objects with None for unknown (words and sets). A column that is absent is unknown throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
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

    ``value``: float64, shape (rows,), NaN for unknown. ``source``: objects, shape (rows,), a short code, or None where
    nothing was known at all.
    """

    value: Floats
    source: Objects


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


def coded(column: Objects, codes: Mapping[str, float]) -> Floats:
    """The words of a column as numbers, NaN for unknown and for a word without a code."""
    nan = np.nan
    return np.array([codes.get(word, nan) for word in column.tolist()], dtype=np.float64)


def per_positive(numerator: Floats, denominator: Floats) -> Floats:
    """``numerator / denominator``, NaN where the denominator is not above 0: a height of 0 measures nothing."""
    return np.asarray(numerator / np.where(denominator > 0, denominator, np.nan))


def code_where(known: NDArray[np.bool_], code: str | Objects) -> Objects:
    """The source code (one for all, or one per row) where something is known, None elsewhere."""
    source = np.full(len(known), None, dtype=object)
    source[known] = code if isinstance(code, str) else code[known]
    return source


def first_known(candidates: tuple[tuple[str, Floats], ...]) -> Derived:
    """Row by row the first candidate that is known, and its code."""
    code, value = candidates[0]
    known = value == value
    source = code_where(known, code)
    for code, candidate in candidates[1:]:
        if known.all():
            break
        fills = ~known & (candidate == candidate)
        value = np.where(fills, candidate, value)
        source[fills] = code
        known = known | fills
    return Derived(value, source)
