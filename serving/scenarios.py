"""The same patient otherwise: plans that could be changed, and values that what is unknown could have.

A scenario edits the record, and the edited records go through the same ``build`` and the same model as the patient's
own, all in one matrix, so that a what-if can never be computed in another way than the risk it is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from features.build import Matrix, Predictor, build
from features.dictionary import VARIABLES, Moment, Value
from features.records import to_columns
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

    Several vertebrae that differ in a choice of which any one counts give the list of their choices.
    """
    if value != value:
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


def plan_changes(served: Served, records: Sequence[Record], matrix: Matrix) -> list[Scenario]:
    """Every other state of each planned variable that the model uses. ``matrix``: rows of the vertebrae, or one row."""
    return [scenario for p in served.predictors for scenario in _changes_of(p, records, matrix)]


def _changes_of(predictor: Predictor, records: Sequence[Record], matrix: Matrix) -> Iterator[Scenario]:
    variable = VARIABLES[predictor.variable]
    if variable.known_at is not Moment.PLANNED or variable.derived:
        return
    places = (None,) if variable.scope == "patient" else range(len(records))
    for index in places:
        record = records[index or 0]
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


def unknown_values(served: Served, by_row: Matrix, matrix: Matrix, count: int) -> list[Scenario]:
    """For each predictor that is unknown the values that it could have.

    ``matrix``: what the model reads; ``by_row``: a matrix with a row for each of the ``count`` vertebrae, which tells
    at which of them a vertebra's variable is unknown, even where pooling over the vertebrae hides it.
    """
    found = []
    for position, predictor in enumerate(served.predictors):
        source = by_row[predictor.name] if predictor.name in by_row.columns else matrix.values[:, position]
        unknown = np.flatnonzero(source != source)
        if len(unknown):
            own = VARIABLES[predictor.variable].scope == "vertebra" and len(source) == count
            places = [int(index) for index in unknown] if own else [None]
            found += [
                Scenario(predictor.variable, value, None, index)
                for index in places
                for value in served.possible[position]
            ]
    return found


def by_vertebra(served: Served, records: Sequence[Record], scenarios: Sequence[Scenario], detection: str) -> Rows:
    """Leakage: the patient's vertebrae, then for each scenario the vertebrae that it touches."""
    rows, owner, vertebra = list(records), [-1] * len(records), list(range(len(records)))
    for number, scenario in enumerate(scenarios):
        touched = range(len(records)) if scenario.index is None else (scenario.index,)
        for index in touched:
            rows.append({**records[index], scenario.variable: scenario.value})
            owner.append(number)
            vertebra.append(index)
    matrix = build(to_columns(rows, served.reads), "leakage", detection=detection)
    return Rows(matrix, np.array(owner), np.array(vertebra))


def by_patient(served: Served, records: Sequence[Record], scenarios: Sequence[Scenario]) -> Rows:
    """Refracture: the patient, then for each scenario the patient again with all the vertebrae."""
    rows, patient = list(records), [0] * len(records)
    for number, scenario in enumerate(scenarios):
        for index, record in enumerate(records):
            touched = scenario.index is None or scenario.index == index
            rows.append({**record, scenario.variable: scenario.value} if touched else record)
            patient.append(number + 1)
    matrix = build(to_columns(rows, served.reads), "refracture", patient=np.array(patient))
    return Rows(matrix, np.arange(len(matrix)) - 1, np.zeros(len(matrix), dtype=np.intp))
