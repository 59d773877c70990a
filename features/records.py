"""From records to columns: a record is one treated vertebra as a dict, columns are arrays over many of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.dictionary import VARIABLES, Value

Record = Mapping[str, Value | None]

#: Kinds that become float64 with NaN for unknown; all others become objects with None for unknown.
NUMERIC_KINDS = frozenset({"number", "integer", "flag"})


def to_columns(records: Sequence[Record], names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """The records as columns, each of shape (len(records),), in the order of ``names`` or of the dictionary.

    ``names``: the dictionary variables wanted, by default all. A variable that no record mentions has no column.
    Raises KeyError for a name, asked for or in a record, that the dictionary does not have.
    """
    mentioned: set[str] = set().union(*records)
    asked_for = () if names is None else tuple(names)
    unheard = mentioned.union(asked_for).difference(VARIABLES)
    if unheard:
        raise KeyError(f"not in the dictionary: {', '.join(sorted(unheard))}")
    in_order = sorted(mentioned, key=_POSITION.__getitem__) if names is None else asked_for
    wanted = [name for name in in_order if name in mentioned]
    numeric = [name for name in wanted if name in _NUMERIC]
    # One array for all numbers: a question has many variables of a few vertebrae each. NumPy takes None for NaN.
    numbers = np.array([[record.get(name) for record in records] for name in numeric], dtype=np.float64)
    columns: dict[str, NDArray[Any]] = dict(zip(numeric, numbers, strict=True))
    return {name: columns[name] if name in columns else _objects(records, name) for name in wanted}


_POSITION = {name: position for position, name in enumerate(VARIABLES)}
_NUMERIC = frozenset(name for name, variable in VARIABLES.items() if variable.kind in NUMERIC_KINDS)


def unknown_column(name: str, rows: int) -> NDArray[Any]:
    """The column of a variable that is unknown throughout, shape (rows,)."""
    return np.full(rows, np.nan) if name in _NUMERIC else np.empty(rows, dtype=object)  # objects start as None


def _objects(records: Sequence[Record], name: str) -> NDArray[np.object_]:
    column = np.empty(len(records), dtype=object)
    column[:] = [record.get(name) for record in records]
    return column
