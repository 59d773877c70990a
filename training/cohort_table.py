"""The group comparison table of an export, as clinical papers print it: n, mean ± SD, counts, test, P.

A variable of a patient is counted once for each patient, one of a vertebra once for each vertebra, as the table says.
Unknown values are counted in their own column and never dropped in silence. Pain and disability are shown as courses
over time as well. P values are those of the papers' tests; they describe, and take vertebrae of one patient as
independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from features.dictionary import VARIABLES
from features.errors import TooLittleData, UsageError
from features.registry import read_export
from features.registry.pseudonym import is_simulated
from features.variable import Variable
from training.cohort_columns import Groups, groups_by, known, with_derived
from training.group_tests import Comparison, compare_counts, compare_means, compare_ranks, is_skewed

Columns = Mapping[str, NDArray[Any]]
Form = Literal["mean", "median", "counts"]
Centre = Literal["auto", "mean", "median"]

#: Measures that are followed over time: label, and the variables in order of time with what the time is called.
COURSES: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "vas": (
        "Pain (VAS, points)",
        (
            ("vas_preop", "before"),
            ("vas_d1", "1 day"),
            ("vas_d3", "3 days"),
            ("vas_m6", "6 months"),
            ("vas_m12", "12 months"),
        ),
    ),
    "odi": (
        "Disability (Oswestry index, points)",
        (
            ("odi_preop", "before"),
            ("odi_d1", "1 day"),
            ("odi_d3", "3 days"),
            ("odi_m6", "6 months"),
            ("odi_m12", "12 months"),
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Summary:
    """One variable in one group: ``known`` and ``unknown`` patients (or vertebrae), then what its form asks for."""

    known: int
    unknown: int
    mean: float = np.nan
    sd: float = np.nan
    median: float = np.nan
    q1: float = np.nan
    q3: float = np.nan
    counts: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One variable over all groups. ``scope``: what was counted, patients or vertebrae."""

    variable: str
    label: str
    unit: str
    scope: str
    form: Form
    groups: tuple[Summary, ...]
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Course:
    """One measure over time: ``rows`` by time, ``changes`` the difference to ``before`` in those who have both."""

    measure: str
    label: str
    times: tuple[str, ...]
    rows: tuple[Row, ...]
    changes: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class CohortTable:
    """The whole comparison. ``patients`` and ``vertebrae`` by group; ``left_out`` counts who is in no group."""

    by: str
    label: str
    groups: tuple[str, ...]
    patients: tuple[int, ...]
    vertebrae: tuple[int, ...]
    rows: tuple[Row, ...]
    courses: tuple[Course, ...]
    left_out: dict[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choices:
    """How numbers are summarised (``auto``: median where skewed) and whether a t test takes variances as equal."""

    centre: Centre = "auto"
    equal_variances: bool = False


def command(
    export: Path,
    by: str,
    *,
    dictionary: Path | None = None,
    mapping: Path | None = None,
    choices: Choices = Choices(),
) -> CohortTable:
    """Read an export and compare the groups that ``by`` makes of its accepted rows; the rejected are counted.

    Raises what ``read_export`` raises, ``UsageError`` and ``TooLittleData`` as ``groups_by``.
    """
    found = read_export(export, dictionary=dictionary, mapping=mapping)
    if not found.accepted:
        raise TooLittleData("no row of the export was accepted: cemrisk check says why")
    return cohort_table(found.columns(), by, choices, rejected=len(found.rejected))


def cohort_table(columns: Columns, by: str, choices: Choices = Choices(), rejected: int = 0) -> CohortTable:
    """Compare groups of records given as columns (one row per treated vertebra)."""
    columns = with_derived(columns)
    groups = groups_by(columns, by)
    first = _rows_of_first_operation(columns, groups.patient)
    shown = [v for v in VARIABLES.values() if v.name in columns and v.name != by and _is_shown(v)]
    courses = _courses(columns, groups, first, choices)
    elsewhere = {row.variable for course in courses for row in course.rows}
    rows = [_row(variable, columns, groups, first, choices) for variable in shown if variable.name not in elsewhere]
    count = range(len(groups.names))
    return CohortTable(
        by=by,
        label=VARIABLES[by].label,
        groups=groups.names,
        patients=tuple(int((groups.patient_code == g).sum()) for g in count),
        vertebrae=tuple(int((groups.code == g).sum()) for g in count),
        rows=tuple(row for row in rows if any(one.known for one in row.groups)),
        courses=courses,
        left_out=_left_out(groups, rejected),
        notes=_notes(columns, by, groups, choices),
    )


def _is_shown(variable: Variable) -> bool:
    return variable.role != "identifier" and variable.kind not in ("text", "date")


def _rows_of_first_operation(columns: Columns, patient: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Rows of each patient's first operation: what a patient is, is read there."""
    dates = columns.get("procedure_date", np.full(len(patient), None, dtype=object)).tolist()
    earliest: dict[int, str] = {}
    for who, day in zip(patient.tolist(), dates, strict=True):
        if day is not None:
            earliest[who] = min(day, earliest.get(who, day))
    return np.array([earliest.get(who) in (None, day) for who, day in zip(patient.tolist(), dates, strict=True)])


def _row(variable: Variable, columns: Columns, groups: Groups, first: NDArray[np.bool_], choices: Choices) -> Row:
    values, code = columns[variable.name], groups.code
    if variable.scope == "patient":
        values, code = _by_patient(values, groups.patient, first), groups.patient_code
    return _compared(variable, [values[code == g] for g in range(len(groups.names))], choices)


def _by_patient(values: NDArray[Any], patient: NDArray[np.intp], first: NDArray[np.bool_]) -> NDArray[Any]:
    """One value for each patient: the first known among the rows of the first operation."""
    empty: Any = None if values.dtype == object else np.nan
    found = np.full(patient.max(initial=-1) + 1, empty, dtype=values.dtype)
    for row in np.flatnonzero(first & known(values))[::-1]:
        found[patient[row]] = values[row]
    return found


def _compared(variable: Variable, groups: list[NDArray[Any]], choices: Choices) -> Row:
    kept = [group[known(group)] for group in groups]
    unknown = [len(group) - len(left) for group, left in zip(groups, kept, strict=True)]
    if variable.kind in ("number", "integer"):
        form, summaries, comparison = _numbers(kept, unknown, choices)
    else:
        form, summaries, comparison = _counted(variable, kept, unknown)
    scope = "patients" if variable.scope == "patient" else "vertebrae"
    return Row(variable.name, variable.label, variable.unit, scope, form, summaries, comparison)


def _numbers(
    kept: list[NDArray[Any]], unknown: list[int], choices: Choices
) -> tuple[Form, tuple[Summary, ...], Comparison]:
    median = choices.centre == "median" or (choices.centre == "auto" and is_skewed(kept))
    comparison = compare_ranks(kept) if median else compare_means(kept, choices.equal_variances)
    summaries = tuple(_of_numbers(values, gap) for values, gap in zip(kept, unknown, strict=True))
    return ("median" if median else "mean"), summaries, comparison


def _of_numbers(values: NDArray[Any], unknown: int) -> Summary:
    if not len(values):
        return Summary(0, unknown)
    q1, median, q3 = (float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
    sd = float(values.std(ddof=1)) if len(values) > 1 else np.nan
    return Summary(len(values), unknown, float(values.mean()), sd, median, q1, q3)


def _counted(
    variable: Variable, kept: list[NDArray[Any]], unknown: list[int]
) -> tuple[Form, tuple[Summary, ...], Comparison]:
    """Counts of each level. Levels of a set are not exclusive: the test is of having any but none."""
    levels = ("yes", "no") if variable.kind == "flag" else variable.choices
    held = [[_levels(variable, value) for value in values.tolist()] for values in kept]
    counts = np.array([[sum(level in found for found in group) for level in levels] for group in held], dtype=np.intp)
    summaries = tuple(
        Summary(len(values), gap, counts=dict(zip(levels, map(int, row), strict=True)))
        for values, gap, row in zip(kept, unknown, counts, strict=True)
    )
    if variable.kind == "ordinal":
        places = [np.array([levels.index(value) for value in values.tolist()], dtype=float) for values in kept]
        return "counts", summaries, compare_ranks(places)
    if variable.kind == "multi":
        none = np.array([sum("none" in found for found in group) for group in held], dtype=np.intp)
        sizes = np.array([len(group) for group in held], dtype=np.intp)
        if not none.any():
            return "counts", summaries, Comparison("not tested: levels overlap")
        counts = np.column_stack([sizes - none, none])
    return "counts", summaries, compare_counts(counts)


def _levels(variable: Variable, value: Any) -> frozenset[str]:
    if variable.kind == "flag":
        return frozenset(["yes" if value else "no"])
    return value if isinstance(value, frozenset) else frozenset([value])


def _courses(columns: Columns, groups: Groups, first: NDArray[np.bool_], choices: Choices) -> tuple[Course, ...]:
    found = []
    for measure, (label, steps) in COURSES.items():
        present = [(name, time) for name, time in steps if name in columns and known(columns[name]).any()]
        if len(present) < 2:
            continue
        by_time = {name: _by_patient(columns[name], groups.patient, first) for name, _ in present}
        rows = [_row(VARIABLES[name], columns, groups, first, choices) for name, _ in present]
        start = by_time[present[0][0]]
        changes = [_change(name, by_time[name] - start, groups, choices) for name, _ in present[1:]]
        if present[0][1] != "before":
            changes = []
        found.append(Course(measure, label, tuple(time for _, time in present), tuple(rows), tuple(changes)))
    return tuple(found)


def _change(name: str, difference: NDArray[Any], groups: Groups, choices: Choices) -> Row:
    return _compared(VARIABLES[name], [difference[groups.patient_code == g] for g in range(len(groups.names))], choices)


def _left_out(groups: Groups, rejected: int) -> dict[str, int]:
    return {
        "rows rejected by the check": rejected,
        "vertebrae whose group is unknown": int((groups.code == -1).sum()),
        "patients whose group is unknown": int((groups.patient_code == -1).sum()),
        "patients with vertebrae in several groups (their vertebrae are counted)": int(
            (groups.patient_code == -2).sum()
        ),
    }


def _notes(columns: Columns, by: str, groups: Groups, choices: Choices) -> tuple[str, ...]:
    notes = [
        "Patients' variables are counted once for each patient, vertebrae's once for each vertebra; "
        "tests take vertebrae of one patient as independent.",
        "Mean ± SD" + _t_name(len(groups.names), choices) + "; "
        "median [quartiles] with a rank test where a group's skewness exceeds 1 or as asked. "
        "Counts (% of the known): chi-square without correction, Fisher's test if a count below 5 is expected; "
        "ordered levels: rank test. P values are not corrected for their number.",
    ]
    if by == "leak_routes":
        notes.append("A patient with any leaking vertebra leaked.")
    operations = len({*zip(groups.patient.tolist(), _dates(columns), strict=True)})
    further = operations - len(groups.patient_code)
    if further:
        notes.append(f"{further} further operations of the same patients: patients' variables are those of the first.")
    identifiers = columns.get("patient_id", np.array([], dtype=object)).tolist()
    if any(map(is_simulated, identifiers)):
        notes.append("Simulated patients: nothing here is a finding.")
    return tuple(notes)


def _dates(columns: Columns) -> list[Any]:
    rows = len(next(iter(columns.values())))
    return list(columns.get("procedure_date", np.full(rows, None, dtype=object)))


def _t_name(groups: int, choices: Choices) -> str:
    if groups > 2:
        return " with one-way analysis of variance"
    return f" with {'Student' if choices.equal_variances else 'Welch'}'s t test"


def refuse_unknown_ending(path: Path) -> None:
    """Raise ``UsageError`` before any work if the table cannot be written as the file's name ends."""
    if path.suffix.lower() not in (".csv", ".html", ".json", ".txt"):
        raise UsageError("--out: the name must end in .csv, .html, .json or .txt")
