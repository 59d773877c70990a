"""From an export to the patients and vertebrae that train a model, with a count of everyone who is left out and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import outcome as outcomes
from features.after_surgery import PREDICTORS as SEEN_AFTERWARDS
from features.build import MOMENT_OF, Matrix, Outcome, build
from features.errors import TooLittleData
from features.outcome import CAUSES, ROUTES, Leakage, Refracture
from training.groups import Labels, groups_of, months_of
from training.simulate.columns import SIMULATED_PREFIX

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Cohort:
    """Who trains a model: ``matrix`` and ``target`` row by row; ``left_out`` counts the others by reason.

    ``groups``: the groups that each row belongs to, ``month``: of its patient's first operation (training/groups.py).
    """

    outcome: Outcome
    matrix: Matrix
    target: Leakage | Refracture
    left_out: dict[str, int]
    data_status: str
    groups: dict[str, Labels] = field(default_factory=dict)
    month: Labels = field(default_factory=lambda: np.zeros(0, dtype=str))

    @property
    def patient(self) -> NDArray[np.intp]:
        """The patient of each row: what is split, resampled and clustered by."""
        return self.target.patient

    @property
    def patients(self) -> int:
        """How many different patients there are."""
        return len(np.unique(self.patient))

    @property
    def events(self) -> dict[str, int]:
        """How many events of each kind the cohort has."""
        if isinstance(self.target, Leakage):
            routes = np.nansum(self.target.routes, axis=0)
            return {"any": int(self.target.leaked.sum())} | dict(zip(ROUTES, map(int, routes), strict=True))
        return {cause: int((self.target.event_code == code).sum()) for code, cause in enumerate(CAUSES, start=1)}


def cohort(columns: Columns, outcome: Outcome, patient_complete: NDArray[np.bool_] | None = None) -> Cohort:
    """The cohort of an outcome from accepted records as columns.

    ``patient_complete``: for each row whether all of its patient's rows were accepted; the others train no refracture
    model, whose one row per patient needs all vertebrae. Raises ``TooLittleData`` if nobody is left.
    """
    order = _stable_order(columns)
    columns = {name: values[order] for name, values in columns.items()}
    complete = np.ones(len(order), dtype=bool) if patient_complete is None else patient_complete[order]
    found = _leakage(columns, complete) if outcome == "leakage" else _refracture(columns, complete, outcome)
    if not len(found.matrix):
        reasons = ", ".join(f"{reason}: {count}" for reason, count in found.left_out.items() if count)
        raise TooLittleData(f"no row can train {outcome} ({reasons or 'the export has no rows'})")
    return found


def _stable_order(columns: Columns) -> NDArray[np.intp]:
    """Rows by patient, date and level: a boosted fit depends on the order of rows, so it may not be the file's."""
    keys = [columns[name] for name in ("level", "procedure_date", "patient_id") if name in columns]
    return np.lexsort([np.array([value or "" for value in key], dtype=str) for key in keys])


def _leakage(columns: Columns, complete: NDArray[np.bool_]) -> Cohort:
    patient = _codes(columns, ("patient_id",))
    wanted = {name: columns.get(name, _empty(columns)) for name in ("leak_routes", "leak_modality")}
    target, left_out = outcomes.leakage(dict(columns) | wanted, patient)
    kept = ~np.any(list(left_out.values()), axis=0)
    matrix = build(columns, "leakage", detection=target.detection, patient=patient).take(kept)
    return _with_groups(columns, "leakage", np.flatnonzero(kept), matrix, target.take(kept), left_out)


def _refracture(columns: Columns, complete: NDArray[np.bool_], outcome: Outcome) -> Cohort:
    operation = _codes(columns, ("patient_id", "procedure_date"))
    wanted = {"refracture": columns.get("refracture", _empty(columns))}
    for name in ("refracture_days", "last_seen_days", "died"):
        wanted[name] = columns.get(name, np.full(len(operation), np.nan))
    target, left_out = outcomes.refracture(dict(columns) | wanted, operation)
    first = np.sort(np.unique(operation, return_index=True)[1])
    left_out["row_of_the_patient_rejected"] = np.bincount(operation, ~complete)[operation[first]] > 0
    kept = ~np.any(list(left_out.values()), axis=0)
    if outcome == "refracture-postop":
        target, too_early = outcomes.at_landmark(target)
        left_out |= {reason: who & kept for reason, who in too_early.items()}
        kept &= ~np.any(list(too_early.values()), axis=0)
    matrix = build(columns, outcome, moment=MOMENT_OF[outcome], patient=operation).take(kept)
    _refuse_nothing_seen(matrix)
    target = replace(target, patient=_codes(columns, ("patient_id",))[first])
    return _with_groups(columns, outcome, first[kept], matrix, target.take(kept), left_out)


def _refuse_nothing_seen(matrix: Matrix) -> None:
    """A postoperative model of an export that says nothing of the operation would be the preoperative one again."""
    seen = [predictor.name for predictor in SEEN_AFTERWARDS if predictor.name in matrix.columns]
    if seen and len(matrix) and all(np.isnan(matrix[name]).all() for name in seen):
        reads = sorted({name for predictor in SEEN_AFTERWARDS for name in predictor.reads})
        raise TooLittleData(f"nothing is known of after the operation: the export needs some of {', '.join(reads)}")


def _with_groups(
    columns: Columns,
    outcome: Outcome,
    rows: NDArray[np.intp],
    matrix: Matrix,
    target: Leakage | Refracture,
    left_out: Mapping[str, NDArray[np.bool_]],
) -> Cohort:
    """The cohort, given the row of ``columns`` that stands for each of its rows."""
    groups = groups_of(columns, rows, matrix, target.detection if isinstance(target, Leakage) else None)
    month = months_of(columns, rows, target.patient)
    return Cohort(outcome, matrix, target, _counts(left_out), _status(columns), groups, month)


def _codes(columns: Columns, names: tuple[str, ...]) -> NDArray[np.intp]:
    """An integer per row for each different combination of the named columns."""
    rows = len(columns["patient_id"])
    keys = [np.array([value or "" for value in columns[name]], dtype=str) for name in names if name in columns]
    joined = np.array(["\x1f".join(parts) for parts in zip(*keys, strict=True)]) if rows else np.zeros(0, dtype=str)
    return np.unique(joined, return_inverse=True)[1].astype(np.intp)


def _empty(columns: Columns) -> NDArray[Any]:
    return np.full(len(columns["patient_id"]), None, dtype=object)


def _counts(left_out: Mapping[str, NDArray[np.bool_]]) -> dict[str, int]:
    return {reason: int(rows.sum()) for reason, rows in left_out.items()}


def _status(columns: Columns) -> str:
    simulated = any(str(value).startswith(SIMULATED_PREFIX) for value in columns["patient_id"])
    return "synthetic" if simulated else "registry"
