"""The same patient otherwise: plans that could be changed, and values that what is unknown could have.

A scenario edits the patient's columns, and the edited columns go through the same ``build`` and the same model as the
patient's own, all in one matrix: a what-if can never be computed in another way than the risk it is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.build import MOMENT_OF, PROCEDURE_CODES, Matrix, Outcome, Predictor, build
from features.derived import Columns
from features.dictionary import VARIABLES, Moment, Value
from features.records import NUMERIC_KINDS
from serving.served import Served

Floats = NDArray[np.float64]
Record = Mapping[str, Value]

#: Decisions with a list of options, and those changed by a step. A stent or another technique is unknown to the models.
PLAN_OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "planned_viscosity": ("low", "medium", "high"),
        "procedure": ("PVP", "PKP"),
        "anti_osteoporosis_plan": ("none", "zoledronate"),
    }
)
VOLUME_STEPS_ML = (-1.0, 1.0)
#: Plans that the operation has not settled.
STILL_OPEN_AFTER_SURGERY = frozenset({"anti_osteoporosis_plan"})


@dataclass(frozen=True, slots=True)
class Scenario:
    """One variable at another value. ``index``: the vertebra, None for what the patient has only one of."""

    variable: str
    value: Value
    was: Value | None
    index: int | None


@dataclass(frozen=True, slots=True)
class Rows:
    """A matrix of scenarios; ``owner``: the scenario of each row, -1 for the patient unchanged; ``vertebra``: index."""

    matrix: Matrix
    owner: NDArray[np.intp]
    vertebra: NDArray[np.intp]


def column_value(predictor: Predictor, value: float, records: Sequence[Record]) -> Value | list[Value] | None:
    """What the matrix holds, said in the variable's own words; None if it is unknown.

    Several vertebrae that differ in a choice of which any one counts give the list of their choices. A choice that the
    models do not know is shown as it was stated, though it counts as unknown.
    """
    if value != value and not any(is_unplaced(predictor.variable, record) for record in records):
        return None
    if predictor.levels:
        return predictor.levels[int(value)]
    variable = VARIABLES[predictor.variable]
    if variable.kind in ("number", "integer"):
        return int(value) if variable.kind == "integer" else value
    if variable.kind == "ordinal":
        return variable.choices[int(value)]
    if variable.kind == "flag":
        return value == 1
    stated: list[Value] = list(dict.fromkeys(r[variable.name] for r in records if r.get(variable.name) is not None))
    return stated[0] if len(stated) == 1 else (stated or None)


def is_unplaced(variable: str, record: Record) -> bool:
    """Whether the record states a choice that the models have no place for, such as a stent: it counts as unknown."""
    return variable == "procedure" and record.get(variable) not in (None, *PROCEDURE_CODES)


def plan_changes(served: Served, records: Sequence[Record], matrix: Matrix) -> list[Scenario]:
    """Every other state of each planned variable that the model uses. ``matrix``: rows of the vertebrae, or one row.

    After surgery only what can still be decided is among them.
    """
    before = served.moment is Moment.PLANNED
    usable = [p for p in served.predictors if before or p.variable in STILL_OPEN_AFTER_SURGERY]
    return [scenario for p in usable for scenario in _changes_of(p, records, matrix)]


def _changes_of(predictor: Predictor, records: Sequence[Record], matrix: Matrix) -> Iterator[Scenario]:
    variable = VARIABLES[predictor.variable]
    if variable.known_at is not Moment.PLANNED or variable.derived:
        return
    places = (None,) if variable.scope == "patient" else range(len(records))
    for index in places:
        record = records[index or 0]
        if is_unplaced(variable.name, record):  # a change from what the models cannot tell would be one from unknown
            continue
        now = record.get(variable.name)
        if predictor.levels:  # the state counts, whether it was stated or follows from stage or product
            now = column_value(predictor, matrix[predictor.name][index or 0], records)  # type: ignore[assignment]
        for value in _alternatives(variable.name, now):
            yield Scenario(variable.name, value, now, index)


def _alternatives(name: str, now: Value | None) -> list[Value]:
    if name in PLAN_OPTIONS:
        taken = name == "anti_osteoporosis_plan" and now not in (None, "none")
        # The models know whether a drug is planned, not which: from one drug only its absence is another state.
        return ["none"] if taken else [option for option in PLAN_OPTIONS[name] if option != now]
    if now is None:
        return []
    assert isinstance(now, int | float)
    variable = VARIABLES[name]
    low, high = variable.lowest or 0.0, variable.highest or np.inf
    return [now + step for step in VOLUME_STEPS_ML if low <= now + step <= high]


def unknown_values(served: Served, by_row: Matrix, matrix: Matrix, records: Sequence[Record]) -> list[Scenario]:
    """For each predictor that is unknown the values that it could have.

    ``matrix``: what the model reads; ``by_row``: a matrix with a row for each vertebra, which tells at which of them a
    vertebra's variable is unknown, even where pooling over the vertebrae hides it. What was stated is not missing.
    """
    gaps = dict(zip(matrix.columns, np.isnan(matrix.values).T, strict=True))
    gaps |= {name: gap for name, gap in zip(by_row.columns, np.isnan(by_row.values).T, strict=True) if name in gaps}
    found = []
    for predictor, values in zip(served.predictors, served.possible, strict=True):
        gap = gaps[predictor.name]
        if gap.any():
            own = VARIABLES[predictor.variable].scope == "vertebra" and len(gap) == len(records)
            open_at: list[int | None] = [*np.flatnonzero(gap).tolist()] if own else [None]
            places = [index for index in open_at if not is_unplaced(predictor.variable, records[index or 0])]
            found += [Scenario(predictor.variable, value, None, index) for index in places for value in values]
    return found


def by_vertebra(columns: Columns, count: int, scenarios: Sequence[Scenario], detection: str) -> Rows:
    """Leakage: the patient's ``count`` vertebrae, then for each scenario the vertebrae that it touches."""
    owner, vertebra = [-1] * count, list(range(count))
    places: list[range] = []
    for number, scenario in enumerate(scenarios):
        touched = range(count) if scenario.index is None else (scenario.index,)
        places.append(range(len(owner), len(owner) + len(touched)))
        owner += [number] * len(touched)
        vertebra += touched
    taken = np.array(vertebra)
    matrix = build(_edited(columns, taken, scenarios, places), "leakage", detection=detection)
    return Rows(matrix, np.array(owner), taken)


def by_patient(outcome: Outcome, columns: Columns, count: int, scenarios: Sequence[Scenario]) -> Rows:
    """Refracture, before or after surgery: the patient, then each scenario again with all ``count`` vertebrae."""
    places = []
    for number, scenario in enumerate(scenarios):
        first = (number + 1) * count
        places.append(
            range(first, first + count)
            if scenario.index is None
            else range(first + scenario.index, first + scenario.index + 1)
        )
    copies = len(scenarios) + 1
    taken = np.tile(np.arange(count), copies)
    edited = _edited(columns, taken, scenarios, places)
    matrix = build(edited, outcome, moment=MOMENT_OF[outcome], patient=np.repeat(np.arange(copies), count))
    return Rows(matrix, np.arange(copies) - 1, np.zeros(copies, dtype=np.intp))


def _edited(
    columns: Columns, taken: NDArray[np.intp], scenarios: Sequence[Scenario], places: Sequence[range]
) -> dict[str, NDArray[Any]]:
    """The rows ``taken`` of the columns, each scenario's value written into its places."""
    rows = {name: values[taken] for name, values in columns.items()}
    for scenario, place in zip(scenarios, places, strict=True):
        column = rows.get(scenario.variable)
        if column is None:
            numeric = VARIABLES[scenario.variable].kind in NUMERIC_KINDS
            column = np.full(len(taken), np.nan) if numeric else np.full(len(taken), None, dtype=object)
            rows[scenario.variable] = column
        column[place.start : place.stop] = scenario.value
    return rows
