"""The groups in which a model is judged apart, row by row: who they are, how they were treated, where and when.

Text labels that tell of nobody: centres are numbered by size, since their names belong to the registry, and a date is
kept as its month. An empty label is "unknown".
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.build import Matrix

Labels = NDArray[np.str_]

#: Where age bands begin, in years.
AGE_BANDS = (65, 75, 85)
#: From here on the number of vertebrae treated together is one group.
MANY_TREATED = 3
_TREATED = {1: "1", 2: "2", MANY_TREATED: "3 or more"}


def groups_of(
    columns: Mapping[str, NDArray[Any]], rows: NDArray[np.intp], matrix: Matrix, detection: NDArray[np.float64] | None
) -> dict[str, Labels]:
    """For each kind of group the label of each row (n,).

    ``rows`` (n,): the row of ``columns`` that stands for each row of ``matrix``; ``detection`` (n,): 1 CT,
    0 radiograph, None where leaks are not looked for.
    """
    found = {
        "sex": _texts(columns.get("sex"), rows),
        "age": _age_band(np.asarray(columns["age_years"], dtype=float)[rows]) if "age_years" in columns else None,
        "procedure": _coded(matrix["procedure_pkp"], {0: "PVP", 1: "PKP"}),
        "treated": _coded(
            np.minimum(matrix["treated_count"], MANY_TREATED), {1: "1", 2: "2", MANY_TREATED: "3 or more"}
        ),
        "detection": None if detection is None else _coded(detection, {0: "radiograph", 1: "CT"}),
        "centre": _centres(columns, rows),
    }
    return {name: labels for name, labels in found.items() if labels is not None}


def months_of(columns: Mapping[str, NDArray[Any]], rows: NDArray[np.intp], patient: NDArray[np.intp]) -> Labels:
    """The month (``2021-07``) of the first operation of each row's patient (n,), empty where no date is known.

    The first, so that a patient with two operations stands on one side of a split in time.
    """
    dates = _texts(columns.get("procedure_date"), rows)
    if dates is None:
        return np.full(len(rows), "", dtype=str)
    months = dates.astype("U7")
    _, code = np.unique(patient, return_inverse=True)
    order = np.argsort(np.where(months == "", "9999-99", months), kind="stable")
    _, first = np.unique(code[order], return_index=True)
    return np.asarray(months[order[first]][code])


def _texts(values: NDArray[Any] | None, rows: NDArray[np.intp]) -> Labels | None:
    if values is None:
        return None
    return np.array([str(value) if value else "" for value in values[rows]], dtype=str)


def _age_band(age: NDArray[np.float64]) -> Labels:
    edges = (50, *AGE_BANDS)
    names = [f"{low} to {high - 1}" for low, high in pairwise(edges)] + [f"{edges[-1]} or more"]
    band = np.searchsorted(AGE_BANDS, age, side="right")
    return np.where(np.isnan(age), "", np.array(names)[np.minimum(band, len(names) - 1)])


def _coded(values: NDArray[np.float64], names: Mapping[int, str]) -> Labels:
    return np.array([names.get(int(value), "") if value == value else "" for value in values], dtype=str)


def _centres(columns: Mapping[str, NDArray[Any]], rows: NDArray[np.intp]) -> Labels | None:
    """``centre 1`` is the one with most rows; equally large ones stand in the order of their names."""
    named = _texts(columns.get("centre_id"), rows)
    if named is None:
        return None
    names, count = np.unique(named[named != ""], return_counts=True)
    rank = {str(name): place for place, name in enumerate(names[np.argsort(-count, kind="stable")], start=1)}
    return np.array([f"centre {rank[name]}" if name else "" for name in named.tolist()], dtype=str)
