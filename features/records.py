"""From records to columns: a record is one treated vertebra as a dict, columns are arrays over many of them."""

from __future__ import annotations

import math
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
    mentioned = {name for record in records for name in record}
    unheard = mentioned.difference(VARIABLES)
    if unheard:
        raise KeyError(f"not in the dictionary: {', '.join(sorted(unheard))}")
    wanted = (
        sorted(mentioned, key=_POSITION.__getitem__) if names is None else [n for n in names if _known(n) in mentioned]
    )
    return {name: _column(records, name) for name in wanted}


_POSITION = {name: position for position, name in enumerate(VARIABLES)}


def _known(name: str) -> str:
    if name not in VARIABLES:
        raise KeyError(f"not in the dictionary: {name}")
    return name


def _column(records: Sequence[Record], name: str) -> NDArray[Any]:
    values = [record.get(name) for record in records]
    if VARIABLES[name].kind in NUMERIC_KINDS:
        return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
