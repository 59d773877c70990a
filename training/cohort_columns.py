"""What a cohort table can show beside what was exported: the derived variables, and the groups to compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import bone_quality, cement, cortical_breach, fracture_severity, injection_volume, recovery
from features.derived import Floats, number, rows_of
from features.dictionary import VARIABLES
from features.errors import TooLittleData, UsageError

Columns = Mapping[str, NDArray[Any]]

#: More groups than this is no comparison but a list.
MOST_GROUPS = 12
LEAK_GROUPS = ("leak", "no leak")
_DEGREES = ("I", "II", "III")


@dataclass(frozen=True, slots=True)
class Groups:
    """``code``: the group of each vertebra (-1 unknown), ``patient_code``: of each patient (-1 unknown, -2 in several).

    ``patient``: the patient of each vertebra, numbered in order of appearance.
    """

    names: tuple[str, ...]
    code: NDArray[np.intp]
    patient: NDArray[np.intp]
    patient_code: NDArray[np.intp]


def with_derived(columns: Columns) -> dict[str, NDArray[Any]]:
    """The columns, with derived variables where they can be computed; what is stated stays as it is."""
    found = dict(columns)
    computed: dict[str, NDArray[Any]] = {
        "ct_value_hu": bone_quality.ct_value(columns).value,
        "height_loss_pct": fracture_severity.height_loss_pct(columns).value,
        "avhr_pct": fracture_severity.avhr_pct(columns).value,
        "mvhr_pct": fracture_severity.mvhr_pct(columns).value,
        "genant_grade": _words(fracture_severity.genant_grade(columns).value, ("0", "1", "2", "3")),
        "compression_degree": _words(fracture_severity.compression_degree(columns).value - 1, _DEGREES),
        "cortical_breach": cortical_breach.any_breach(columns).value,
        "viscosity": _words(cement.viscosity(columns).value, ("low", "medium", "high")),
        "cement_fraction_pct": injection_volume.cement_fraction_pct(columns).value,
        **_course_of_heights(columns),
    }
    for name, values in computed.items():
        stated = found.get(name)
        is_known = known(values)
        if stated is None:
            if is_known.any():
                found[name] = values
        else:
            found[name] = np.where(known(stated), stated, values)
    return found


def _course_of_heights(columns: Columns) -> dict[str, Floats]:
    """Recovery and loss by the formulas of Zhang 2022."""

    def of(name: str) -> Floats:
        return number(columns, name)

    above, below = of("adj_ah_above_mm"), of("adj_ah_below_mm")
    before, after, final = (
        recovery.avhr_pct(of(name), above, below) for name in ("fvah_mm", "fvah_postop_mm", "fvah_final_mm")
    )
    return {
        "fvahr_mm": recovery.fvahr_mm(of("fvah_mm"), of("fvah_postop_mm")),
        "fvahl_mm": recovery.fvahl_mm(of("fvah_postop_mm"), of("fvah_final_mm")),
        "avhrr_pct": recovery.avhrr_pct(before, after),
        "avhlr_pct": recovery.avhlr_pct(after, final),
        "lka_recovery_deg": recovery.kyphosis_recovery_deg(of("lka_deg"), of("lka_postop_deg")),
        "lka_loss_deg": recovery.kyphosis_loss_deg(of("lka_postop_deg"), of("lka_final_deg")),
    }


def groups_by(columns: Columns, by: str) -> Groups:
    """The groups that a variable makes: its values in order, yes and no of a flag, leak and no leak of ``leak_routes``.

    A patient with a leaking vertebra leaked; by any other variable of a vertebra, a patient with vertebrae in two
    groups is in several. Raises ``UsageError`` for a variable that makes no groups, ``TooLittleData`` if only one
    group has anyone.
    """
    words = _group_words(columns, by)
    names = _group_names(by, words)
    place = {name: index for index, name in enumerate(names)}
    code = np.array([place[word] if word is not None else -1 for word in words], dtype=np.intp)
    patient = patients_of(columns)
    return Groups(names, code, patient, _of_patients(code, patient, worst_first=by == "leak_routes"))


def _group_words(columns: Columns, by: str) -> list[str | None]:
    variable = VARIABLES.get(by)
    if variable is None:
        raise UsageError(f"--by {by}: no variable of the dictionary; cemrisk dictionary lists them")
    allowed = variable.kind in ("flag", "category", "ordinal", "integer") or by in ("leak_routes", "centre_id")
    if not allowed:
        raise UsageError(f"--by {by}: it makes no groups; name a variable with a few values, such as leak_routes")
    if by not in columns:
        raise TooLittleData(f"--by {by}: the export does not say it for any accepted row")
    values = columns[by].tolist()
    if by == "leak_routes":
        return [None if not value else LEAK_GROUPS["none" in value] for value in values]
    if variable.kind == "flag":
        return [None if np.isnan(value) else ("no", "yes")[int(value)] for value in values]
    if variable.kind == "integer":
        return [None if np.isnan(value) else f"{value:g}" for value in values]
    return list(values)


def _group_names(by: str, words: list[str | None]) -> tuple[str, ...]:
    """Those that occur, in the order of the dictionary."""
    present = {word for word in words if word is not None}
    variable = VARIABLES[by]
    order: tuple[str, ...] = variable.choices
    if by == "leak_routes":
        order = LEAK_GROUPS
    elif variable.kind == "flag":
        order = ("yes", "no")
    elif variable.kind == "integer":
        order = tuple(sorted(present, key=float))
    elif not order:
        order = tuple(sorted(present))
    names = tuple(word for word in order if word in present)
    if len(names) > MOST_GROUPS:
        raise UsageError(f"--by {by}: it makes {len(names)} groups; at most {MOST_GROUPS} can be compared")
    if len(names) < 2:
        raise TooLittleData(f"--by {by}: the accepted rows are all in {len(names)} group; a comparison needs two")
    return names


def patients_of(columns: Columns) -> NDArray[np.intp]:
    """The patient of each row, in order of appearance; a row without ``patient_id`` is a patient of its own."""
    rows = rows_of(columns)
    identifiers = columns.get("patient_id", np.full(rows, None, dtype=object)).tolist()
    seen: dict[Any, int] = {}
    keys = [("row", row) if value is None else value for row, value in enumerate(identifiers)]
    return np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=np.intp)


def _of_patients(code: NDArray[np.intp], patient: NDArray[np.intp], worst_first: bool) -> NDArray[np.intp]:
    found = np.full(patient.max(initial=-1) + 1, -1, dtype=np.intp)
    for row, group in enumerate(code.tolist()):
        before = found[patient[row]]
        if group < 0 or before == group:
            continue
        if before == -1:
            found[patient[row]] = group
        else:
            found[patient[row]] = min(before, group) if worst_first else -2
    return found


def _words(values: Floats, words: tuple[str, ...]) -> NDArray[np.object_]:
    return np.array([None if np.isnan(v) else words[int(v)] for v in values], dtype=object)


def known(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which entries of a column are known."""
    if values.dtype == object:
        return np.array([value is not None for value in values.tolist()], dtype=bool)
    return np.asarray(~np.isnan(values))
