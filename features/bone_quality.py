"""The CT value: how dense the trabecular bone is, in Hounsfield units, with the place where it was measured."""

from __future__ import annotations

from features.derived import Columns, Derived, first_known
from features.variables.bone import CT_VALUE_SOURCES


def ct_value(columns: Columns) -> Derived:
    """The CT value that the models use, in HU: ``hu_l1``, else ``hu_adjacent_mean``, else ``hu_index_vertebra``.

    Chen 2025 keeps a "CT value" as a predictor and does not say of which vertebra. L1, or the nearest unfractured
    level, is what cut-offs were published for (Pickhardt 2013). The fractured body is the last resort: impacted
    trabeculae raise its value, so it is not the same quantity and its source is carried along. Source: the variable's
    name.
    """
    return first_known(columns, [(name, columns[name]) for name in CT_VALUE_SOURCES if name in columns])
