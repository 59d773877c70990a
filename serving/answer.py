"""From a question to its answer: pure, without a framework, a clock or a file.

For each outcome one matrix holds the patient as he is, the changes of plan and the values that the unknown could have,
so that a model is asked only once or twice. Numbers are never rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import bone_quality, cement
from features.after_surgery import LANDMARK_DAY
from features.build import Outcome, outcomes_at
from features.derived import Columns, Derived
from features.dictionary import VARIABLES, Moment
from features.errors import NotReady
from features.outcome import CAUSES, ROUTES
from models import explain as explaining
from models.calibrate import unlink
from models.interval import interval, paired_difference
from serving.scenarios import (
    COLUMN_OF,
    Rows,
    Scenario,
    Treated,
    column_value,
    is_unplaced,
    plan_changes,
    rows_of,
    unknown_values,
)
from serving.schema import Question
from serving.served import EXPLAINED, EXPLAINED_MONTHS, HORIZONS_MONTHS, Served
from serving.wording import (
    SOURCE_NOTES,
    contribution_text,
    ct_warning,
    evidence,
    not_used_texts,
    outside_range_text,
    shown_variable,
    warning,
)

Floats = NDArray[np.float64]
Json = dict[str, Any]

#: Read by the rules of scope, though by no model: stating them is not in vain.
READ_BY_RULES = frozenset({"age_years", "sex", "level", "malignancy", "of_type"})


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question for one outcome: its scenarios, their matrix and what the champion says of all its rows.

    Changes of plan come first among the scenarios, then the possible values of what is unknown. ``own``: how many rows
    are the patient himself; they come first. ``prepared``: the rows as the champion takes them; ``main``: (rows, parts)
    its linear predictors; ``totals`` and ``risk``: (rows, horizons), on the link scale and as probabilities;
    ``spread``: (first rows, horizons, refits) the totals of its refits, of the patient and the changes of plan only.
    """

    question: Question
    served: Served
    scenarios: list[Scenario]
    rows: Rows
    own: int
    prepared: NDArray[Any]
    main: Floats
    totals: Floats
    risk: Floats
    spread: Floats


def answer(question: Question, served: Mapping[Outcome, Served], request_id: str, answered_at: str) -> Json:
    """The answer in the form of the contract. Raises ``NotReady`` if no model can give it."""
    before = question.moment is Moment.PLANNED
    served = {outcome: one for outcome, one in served.items() if one.moment is question.moment}
    if not served:
        what = "model" if before else "model for questions after surgery"
        raise NotReady(f"no {what} has been released; train and promote one")
    outcome: Outcome = "refracture" if before else "refracture-postop"
    leakage, refracture = served.get("leakage"), served.get(outcome)
    treated = Treated.of(question.records, question.moment, question.detection)
    leaks = None if leakage is None else _ask(question, leakage, treated)
    fractures = None if refracture is None else _ask(question, refracture, treated)
    asked = [one for one in (leaks, fractures) if one is not None]
    synthetic = any(one.served.data_status == "synthetic" for one in asked)
    return {
        "request_id": request_id,
        "answered_at": answered_at,
        "moment": "preop" if before else "postop",
        "detection": question.detection,
        "data_status": "synthetic" if synthetic else "registry",
        "notice": " ".join(dict.fromkeys(text for one in asked for text in one.served.notices)),
        "leakage": None if leaks is None else _leakage(leaks),
        "refracture": None if fractures is None else _refracture(fractures),
        "missing": [entry for one in asked for entry in _missing(one)],
        "warnings": _warnings(question, treated.columns, asked, served),
        "models": {one.served.section: one.served.identity for one in asked},
    }


def _ask(question: Question, served: Served, treated: Treated) -> _Asked:
    """Put all scenarios of one outcome into one matrix and ask the champion."""
    plans = plan_changes(served, treated)
    scenarios = plans + unknown_values(served, treated)
    rows = rows_of(served.outcome, treated, scenarios)
    own, first = np.searchsorted(rows.owner, (0, len(plans))).tolist()
    body = served.model.body
    prepared: NDArray[Any] = body.prepare(rows.values)
    main = body.main_of(prepared)
    totals = served.totals(served.model, main)
    spread = served.totals_of_refits(body.refits_of(prepared[:first]))  # asked only where an interval is shown
    return _Asked(question, served, scenarios, rows, own, prepared, main, totals, served.risks(totals), spread)


def _leakage(asked: _Asked) -> list[Json]:
    served, risk, bounds = asked.served, asked.risk, _intervals(asked)
    explained = _explained(asked)
    learners, main = _by_learner(asked)
    routes = served.routes(risk[: asked.own, 0], main)
    what_ifs = _what_ifs(asked, bounds)
    return [
        {
            "level": level,
            "risk": float(risk[i, 0]),
            "interval": bounds[i, 0].tolist(),
            "average": served.average[0],
            "detection": asked.question.detection,
            "routes": None if routes is None else dict(zip(ROUTES, routes[i].tolist(), strict=True)),
            "by_learner": {learner: float(found[i, 0]) for learner, found in learners.items()},
            "explanation": _explanation_json(asked, explained, i, asked.question.records[i : i + 1]),
            "what_if": [entry for entry, vertebra in what_ifs if vertebra == i],
        }
        for i, level in enumerate(asked.question.levels)
    ]


def _refracture(asked: _Asked) -> Json:
    served, bounds = asked.served, _intervals(asked)
    explained = _explained(asked)
    learners, _ = _by_learner(asked)
    incidence = served.incidence(asked.main[:1])[0]
    by_cause = dict(zip(CAUSES, incidence.tolist(), strict=True))
    return {
        "landmark_day": served.landmark_day,
        "horizons_months": list(HORIZONS_MONTHS),
        "risk": asked.risk[0].tolist(),
        "interval": bounds[0].tolist(),
        "average": list(served.average),
        "causes": {cause: by_cause[cause] for cause in CAUSES[:3]},
        "death": by_cause["death"],
        "by_learner": {learner: found[0].tolist() for learner, found in learners.items()},
        "explanation": {
            "horizon_months": EXPLAINED_MONTHS,
            **_explanation_json(asked, explained, 0, asked.question.records),
        },
        "what_if": [entry for entry, _ in _what_ifs(asked, bounds)],
    }


def _intervals(asked: _Asked) -> Floats:
    """Those of the patient's risks and of those after changes of plan, (first rows, horizons, 2)."""
    return interval(asked.served.model.head.scale, asked.totals[: len(asked.spread)], asked.spread)


def _by_learner(asked: _Asked) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """For each learner of the training the patient's own risks (rows, horizons) and linear predictors (rows, parts)."""
    served, own = asked.served, asked.own
    champion = served.release.champion
    risks, main = {champion: asked.risk[:own]}, {champion: asked.main[:own]}
    for learner, model in served.release.models.items():
        if learner != champion:
            prepared = asked.prepared[:own]
            if learner not in served.alike:
                prepared = model.body.prepare(asked.rows.values[:own])
            main[learner] = model.body.main_of(prepared)
            risks[learner] = unlink(model.head.scale, served.totals(model, main[learner]))
    return {learner: risks[learner] for learner in served.release.models}, main


def _explained_column(asked: _Asked) -> int:
    """Which column of the totals is explained; leakage has but one."""
    return EXPLAINED if asked.served.section == "refracture" else 0


def _explained(asked: _Asked) -> Floats:
    """What each column adds to the patient's own totals, (rows, columns)."""
    served, own = asked.served, asked.own
    head = served.model.head
    mean, phi = served.model.body.contributions_of(asked.prepared[:own], head.explained)
    difference = asked.totals[:own, _explained_column(asked)] - served.base
    return explaining.contributions(head, mean, asked.main[:own, : head.explained], phi, difference)


def _explanation_json(asked: _Asked, explained: Floats, row: int, records: Sequence[Any]) -> Json:
    """The contributions to one row, the largest first."""
    values = asked.rows.values[row].tolist()
    contributions = explained[row].tolist()
    entries = []
    for predictor, value, contribution in zip(asked.served.predictors, values, contributions, strict=True):
        shown = asked.question.detection if predictor.name == "detection" else column_value(predictor, value, records)
        text = contribution_text(predictor, shown, contribution, len(records), counted=value == value)
        entries.append(
            {"variable": shown_variable(predictor), "value": shown, "contribution": contribution, "text": text}
        )
    entries.sort(key=lambda entry: -abs(entry["contribution"]))
    return {
        "scale": asked.served.model.head.scale,
        "base": asked.served.base,
        "total": float(asked.totals[row, _explained_column(asked)]),
        "contributions": entries,
    }


def _what_ifs(asked: _Asked, bounds: Floats) -> list[tuple[Json, int]]:
    """Each change of plan with the vertebra whose risk it is (0 for refracture); lists by horizon, leakage has none."""
    rows, risk = slice(asked.own, len(asked.spread)), asked.risk
    before = asked.rows.vertebra[rows]
    if not len(before):
        return []
    difference, of_refits = risk[rows] - risk[before], asked.served.risks(asked.spread)
    paired = paired_difference(difference, of_refits[rows] - of_refits[before])
    numbers = [risk[rows], bounds[rows], difference, paired]
    if asked.served.section == "leakage":
        numbers = [by_horizon[:, 0] for by_horizon in numbers]
    unknown = np.isnan(asked.rows.values[rows])
    column_of, levels = COLUMN_OF[asked.served.outcome], asked.question.levels
    found = []
    for owner, vertebra, gaps, *values in _by_row(asked.rows.owner[rows], before, unknown, *numbers):
        scenario = asked.scenarios[owner]
        if not gaps[column_of[scenario.variable]]:  # else a sum with an unknown vertebra: the change cannot show
            level = None if scenario.vertebra is None else levels[scenario.vertebra]
            found.append((_what_if(scenario, level, *values), vertebra))
    return found


def _by_row(*columns: NDArray[Any]) -> Iterator[tuple[Any, ...]]:
    """Row by row what stands in arrays of one length, as plain values and lists."""
    return zip(*(column.tolist() for column in columns), strict=True)


def _what_if(scenario: Scenario, level: str | None, risk: Any, interval: Any, difference: Any, paired: Any) -> Json:
    return {
        "variable": scenario.variable,
        "level": level,
        "from": scenario.was,
        "to": scenario.value,
        "risk": risk,
        "interval": interval,
        "difference": difference,
        "difference_interval": paired,
        "evidence": evidence(scenario.variable, scenario.value, scenario.was),
    }


def _missing(asked: _Asked) -> list[Json]:
    """How far the risk could move if each unknown were known: its lowest and highest over the plausible values.

    A patient's variable that is unknown moves the leakage of all his vertebrae: the one that it moves most is shown.
    """
    first, rows = len(asked.spread), asked.rows
    risk = asked.risk[first:, _explained_column(asked)].tolist()
    ranges: dict[tuple[str, int | None, int], tuple[float, float]] = {}
    for value, owner, vertebra in zip(risk, rows.owner[first:].tolist(), rows.vertebra[first:].tolist(), strict=True):
        scenario = asked.scenarios[owner]
        key = (scenario.variable, scenario.vertebra, vertebra)
        low, high = ranges.get(key, (value, value))
        ranges[key] = (min(low, value), max(high, value))
    widest: dict[tuple[str, int | None], tuple[float, float]] = {}
    for (name, index, _), (low, high) in ranges.items():
        known = widest.get((name, index))
        if known is None or high - low > known[1] - known[0]:
            widest[name, index] = (low, high)
    return [
        {
            "variable": name,
            "outcome": asked.served.section,
            "level": None if index is None else asked.question.levels[index],
            "horizon_months": EXPLAINED_MONTHS if asked.served.section == "refracture" else None,
            "lowest_risk": low,
            "highest_risk": high,
        }
        for (name, index), (low, high) in widest.items()
    ]


def _warnings(
    question: Question, columns: Any, asked: Sequence[_Asked], served: Mapping[Outcome, Served]
) -> list[Json]:
    found = [warning(note.code, note.variable, level, note.detail) for note, level in question.notes]
    for one in asked:
        found += _outside_range(one)
    found += _source_notes(question, columns) + _unplaced_notes(question)
    found += [ct_warning(code, level) for code, level in question.ct]
    read = READ_BY_RULES.union(*(one.served.reads for one in asked))
    found += not_used_texts([name for name in question.given if name not in read])
    if "leakage" in served and served["leakage"].release.teller_of_routes is None:
        text = "the training data did not tell the routes of enough leaks: any leak only"
        found.append(warning("routes_not_trained", None, None, text, "leakage"))
    return found + [
        warning("not_released", None, None, f"no model of {name} has been released", name)
        for name in outcomes_at(question.moment)
        if name not in served
    ]


def _outside_range(asked: _Asked) -> list[Json]:
    served = asked.served
    values = asked.rows.values[: asked.own]
    rows, columns = ((values < served.low) | (values > served.high)).nonzero()
    found = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        predictor = served.predictors[column]
        if predictor.shape not in ("continuous", "score"):  # rare is not beyond: a flag has no range to leave
            continue
        own = served.outcome == "leakage" and VARIABLES[predictor.variable].scope == "vertebra"
        level = asked.question.levels[row] if own else None
        detail = outside_range_text(predictor, served.low[column], served.high[column])
        found.append(warning("outside_training_range", shown_variable(predictor), level, detail, served.section))
    return list({(w["variable"], w["level"], w["outcome"]): w for w in found}.values())


#: What can have a source that deserves a word: how it is derived, and the variables that have to be stated for that.
_NOTABLE: Mapping[str, tuple[Callable[[Columns], Derived], tuple[str, ...]]] = {
    "ct_value_hu": (bone_quality.ct_value, ("hu_adjacent_mean", "hu_index_vertebra")),
    "planned_viscosity": (cement.viscosity, ("cement_product_id",)),
}


def _source_notes(question: Question, columns: Columns) -> list[Json]:
    """Where derived values came from, if that deserves a word."""
    found = _late_leaks(question)
    for variable, (derive, notable) in _NOTABLE.items():
        if columns.keys().isdisjoint(notable):
            continue
        for level, source in zip(question.levels, derive(columns).source.tolist(), strict=True):
            if source in SOURCE_NOTES[variable]:
                code, detail = SOURCE_NOTES[variable][source]
                found.append(warning(code, variable, level, detail))
    return found


_LATE_LEAK = (
    f"the leak was found after day {LANDMARK_DAY}, from which the model counts: it was not known by then, so it "
    "counts as unknown"
)


def _late_leaks(question: Question) -> list[Json]:
    """A leak that the model cannot count, since nobody knew of it at the landmark."""
    return [
        warning("leak_after_landmark", "leak_routes", level, _LATE_LEAK)
        for level, record in zip(question.levels, question.records, strict=True)
        if float(record.get("leak_detected_days", 0)) > LANDMARK_DAY  # type: ignore[arg-type]
    ]


def _unplaced_notes(question: Question) -> list[Json]:
    """A stated procedure that the models have no place for."""
    detail = "the models know PVP and PKP only, so the procedure counts as unknown, and no other is compared with it"
    return [
        warning("procedure_unknown_to_models", "procedure", level, detail)
        for level, record in zip(question.levels, question.records, strict=True)
        if is_unplaced("procedure", record)
    ]
