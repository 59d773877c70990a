"""The same patient otherwise: plans that could be changed, and values that what is unknown could have.

A scenario edits the patient's columns; what reads them is made again by the same derivations, and goes through the same
model as the patient's own, all in one matrix: a what-if is never computed in another way than the risk beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.build import (
    MOMENT_OF,
    PREDICTORS,
    PROCEDURE_CODES,
    Outcome,
    Predictor,
    derive,
    detection_codes,
    outcomes_at,
    pool_patients,
)
from features.derived import Columns
from features.dictionary import VARIABLES, Moment, Value
from features.records import to_columns, unknown_column
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
_PLACED = (None, *PROCEDURE_CODES)
VOLUME_STEPS_ML = (-1.0, 1.0)
#: Plans that the operation has not settled.
STILL_OPEN_AFTER_SURGERY = frozenset({"anti_osteoporosis_plan"})


@dataclass(frozen=True, slots=True)
class _Table:
    """All that the models of a moment read of a vertebra: each predictor once, and where it stands."""

    predictors: tuple[Predictor, ...]
    reads: tuple[str, ...]
    place: Mapping[str, int]

    @classmethod
    def at(cls, moment: Moment) -> _Table:
        known = {p.name: p for outcome in outcomes_at(moment) for p in PREDICTORS[outcome]}
        reads = dict.fromkeys(name for predictor in known.values() for name in predictor.reads)
        return cls(tuple(known.values()), tuple(reads), {name: place for place, name in enumerate(known)})

    def places(self, predictors: Sequence[Predictor]) -> NDArray[np.intp]:
        return np.array([self.place[predictor.name] for predictor in predictors])


_TABLES = {moment: _Table.at(moment) for moment in dict.fromkeys(MOMENT_OF.values())}
#: Which columns of its moment's table each outcome has, in the order of its matrix.
_PLACES = {outcome: _TABLES[MOMENT_OF[outcome]].places(predictors) for outcome, predictors in PREDICTORS.items()}
#: For each outcome the column of the predictor that a person changes under the name of a variable.
COLUMN_OF = {outcome: {p.variable: column for column, p in enumerate(found)} for outcome, found in PREDICTORS.items()}
#: For each outcome and variable the predictors made from it, by their place in the matrix.
_READERS: Mapping[Outcome, Mapping[str, Mapping[int, Predictor]]] = {
    outcome: {
        name: {place: predictor for place, predictor in enumerate(predictors) if name in predictor.reads}
        for name in _TABLES[MOMENT_OF[outcome]].reads
    }
    for outcome, predictors in PREDICTORS.items()
}


@dataclass(frozen=True, slots=True)
class Treated:
    """The vertebrae treated together as they are, not yet pooled.

    ``values``: (vertebrae, predictors of the moment). ``unknown``: the same places, by predictor and vertebra.
    """

    records: Sequence[Record]
    columns: Columns
    table: _Table
    values: Floats
    unknown: list[list[bool]]

    @classmethod
    def of(cls, records: Sequence[Record], moment: Moment, detection: str) -> Treated:
        """``detection``: how leaks will be looked for."""
        table = _TABLES[moment]
        columns = to_columns(records, table.reads)
        columns["detection"] = detection_codes(detection, len(records))
        values = derive(columns, table.predictors)
        return cls(records, columns, table, values, np.isnan(values).T.tolist())

    def value(self, predictor: Predictor, vertebra: int) -> float:
        """NaN if unknown."""
        return float(self.values[vertebra, self.table.place[predictor.name]])


class Scenario(NamedTuple):
    """One variable at another value. ``vertebra``: its place, None for what the patient has only one of."""

    variable: str
    value: Value
    was: Value | None
    vertebra: int | None


@dataclass(frozen=True, slots=True)
class Rows:
    """The matrix of a model; ``owner``: the scenario of each row, -1 for the patient unchanged; ``vertebra``: index."""

    values: Floats
    owner: NDArray[np.intp]
    vertebra: NDArray[np.intp]


def column_value(predictor: Predictor, value: float, records: Sequence[Record]) -> Value | list[Value] | None:
    """What the matrix holds, said in the variable's own words; None if it is unknown.

    Several vertebrae that differ in a choice of which any one counts give the list of their choices. A choice that the
    models do not know is shown as it was stated, though it counts as unknown.
    """
    if value != value and not is_unplaced(predictor.variable, *records):
        return None
    in_words = _IN_WORDS[predictor.name]
    if in_words is not None:
        return in_words(value)
    name = predictor.variable
    stated: list[Value] = list(dict.fromkeys(r[name] for r in records if r.get(name) is not None))
    return stated[0] if len(stated) == 1 else (stated or None)


def _in_words(predictor: Predictor) -> Callable[[float], Value] | None:
    """How a known value of the matrix is said; None where only the records tell the word that was stated."""
    if predictor.levels:
        return lambda value: predictor.levels[int(value)]
    choices = VARIABLES[predictor.variable].choices
    ways: dict[str, Callable[[float], Value]] = {
        "integer": int,
        "number": float,
        "ordinal": lambda value: choices[int(value)],
        "flag": lambda value: value == 1,
    }
    return ways.get(VARIABLES[predictor.variable].kind)


_IN_WORDS = {p.name: _in_words(p) for predictors in PREDICTORS.values() for p in predictors}


def is_unplaced(variable: str, *records: Record) -> bool:
    """Whether a record states a choice that the models have no place for, such as a stent: it counts as unknown."""
    return variable == "procedure" and any(record.get(variable) not in _PLACED for record in records)


def plan_changes(served: Served, treated: Treated) -> list[Scenario]:
    """Every other state of each planned variable that the model uses; after surgery only of what is still open."""
    return [scenario for predictor in _PLANNED[served.outcome] for scenario in _changes_of(predictor, treated)]


def _is_open(predictor: Predictor, outcome: Outcome) -> bool:
    """Whether the predictor is a decision that still can be taken when the model is asked."""
    if MOMENT_OF[outcome] is not Moment.PLANNED and predictor.variable not in STILL_OPEN_AFTER_SURGERY:
        return False
    variable = VARIABLES[predictor.variable]
    return variable.known_at is Moment.PLANNED and not variable.derived


_PLANNED = {
    outcome: tuple(predictor for predictor in predictors if _is_open(predictor, outcome))
    for outcome, predictors in PREDICTORS.items()
}


def _changes_of(predictor: Predictor, treated: Treated) -> Iterator[Scenario]:
    name = predictor.variable
    of_patient = VARIABLES[name].scope == "patient"
    for index, record in enumerate(treated.records[:1] if of_patient else treated.records):
        if is_unplaced(name, record):  # a change from what the models cannot tell would be one from unknown
            continue
        now = record.get(name)
        if predictor.levels:  # the state counts, whether it was stated or follows from stage or product
            now = column_value(predictor, treated.value(predictor, index), ())  # type: ignore[assignment]
        for value in _alternatives(name, now):
            yield Scenario(name, value, now, None if of_patient else index)


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


def unknown_values(served: Served, treated: Treated) -> list[Scenario]:
    """For each predictor that is unknown the values that it could have; what was stated is not missing.

    A vertebra's variable is asked for at each vertebra where it is unknown, even where pooling would hide the gap.
    """
    found = []
    for predictor, place, values in zip(served.predictors, _PLACES[served.outcome], served.possible, strict=True):
        gap = treated.unknown[place]
        if True in gap:
            own = VARIABLES[predictor.variable].scope == "vertebra"
            open_at = [index for index, unknown in enumerate(gap) if unknown] if own else [None]
            places = [index for index in open_at if not is_unplaced(predictor.variable, treated.records[index or 0])]
            found += [Scenario(predictor.variable, value, None, index) for index in places for value in values]
    return found


def rows_of(outcome: Outcome, treated: Treated, scenarios: Sequence[Scenario]) -> Rows:
    """The patient and each scenario, as the model of the outcome reads them."""
    return _by_vertebra(treated, scenarios) if outcome == "leakage" else _by_patient(outcome, treated, scenarios)


def _by_vertebra(treated: Treated, scenarios: Sequence[Scenario]) -> Rows:
    """Leakage: the patient's vertebrae, then for each scenario the vertebrae that it touches."""
    count = len(treated.records)
    owner, vertebra = [-1] * count, list(range(count))
    spans = []
    for number, scenario in enumerate(scenarios):
        touched = range(count) if scenario.vertebra is None else (scenario.vertebra,)
        spans.append(slice(len(owner), len(owner) + len(touched)))
        owner += [number] * len(touched)
        vertebra += touched
    taken = np.array(vertebra)
    return Rows(_derived("leakage", treated, taken, scenarios, spans), np.array(owner), taken)


def _by_patient(outcome: Outcome, treated: Treated, scenarios: Sequence[Scenario]) -> Rows:
    """Refracture, before or after surgery: the patient, then each scenario again with all his vertebrae, pooled."""
    count, copies = len(treated.records), len(scenarios) + 1
    spans = []
    for copy, scenario in enumerate(scenarios, 1):
        first, touched = (0, count) if scenario.vertebra is None else (scenario.vertebra, 1)
        spans.append(slice(copy * count + first, copy * count + first + touched))
    copy_of, taken = np.divmod(np.arange(copies * count), count)
    pooled = pool_patients(_derived(outcome, treated, taken, scenarios, spans), PREDICTORS[outcome], copy_of)
    return Rows(pooled, np.arange(-1, copies - 1), np.zeros(copies, dtype=np.intp))


def _derived(
    outcome: Outcome,
    treated: Treated,
    taken: NDArray[np.intp],
    scenarios: Sequence[Scenario],
    spans: Sequence[slice],
) -> Floats:
    """The rows ``taken`` of the vertebrae with each scenario's value in its rows: (rows, predictors of the outcome).

    Only the predictors that a scenario touches are derived again; the others are those of the vertebra as it is.
    """
    values = treated.values.take(_PLACES[outcome], axis=1)[taken]
    touched: dict[int, Predictor] = {}
    for variable in dict.fromkeys(scenario.variable for scenario in scenarios):
        touched.update(_READERS[outcome][variable])
    read = {name for predictor in touched.values() for name in predictor.reads}
    columns = {name: column[taken] for name, column in treated.columns.items() if name in read}
    for scenario, span in zip(scenarios, spans, strict=True):
        column = columns.get(scenario.variable)
        if column is None:
            column = columns[scenario.variable] = unknown_column(scenario.variable, len(taken))
        column[span] = scenario.value
    for place, predictor in touched.items():
        values[:, place] = predictor.make(columns)
    return values
