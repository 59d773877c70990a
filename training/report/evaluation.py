"""What is kept of an evaluation beside its metrics: ``evaluation.json``, an artifact of the run.

The report and the comparison are drawn from it, long after the patients' rows are gone. It holds aggregates only:
a count below ``FEWEST`` is null, quantiles lie on the grid of their predictor, curves on fixed days or thresholds.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.build import PREDICTORS, Predictor
from features.outcome import Leakage, Refracture
from features.registry import Export
from models.competing import GRID_DAYS
from training import metrics
from training.cohort import Cohort
from training.competing_risks import EVENTS, event_codes
from training.report.look import BAR, Look
from training.validate import any_code

Floats = NDArray[np.float64]
Flow = Mapping[str, Any]

NAME = "evaluation.json"
FORMAT = 1
#: Counts below this could point at somebody and are left out.
FEWEST = 5
#: Quartiles of fewer known values are not told.
FEWEST_FOR_QUARTILES = 4 * FEWEST


def evaluation(people: Cohort, looked: Sequence[Look], flow: Flow) -> dict[str, Any]:
    """The whole artifact as JSON values; ``flow`` comes from ``flow_of``."""
    return {
        "format": FORMAT,
        "outcome": people.outcome,
        "flow": dict(flow),
        "left_out": {reason: shown_count(count) for reason, count in people.left_out.items()},
        "characteristics": characteristics(people),
        "horizons": [_horizon(look) for look in looked],
        "follow_up_days": None if isinstance(people.target, Leakage) else _follow_up(people.target),
        "incidence": None if isinstance(people.target, Leakage) else _incidence(people.target),
    }


def flow_of(export: Export) -> Flow:
    """Rows read, accepted and rejected with their reasons; centres; the years in which enough were operated on."""
    reasons = Counter(reason for row in export.rejected for reason in row.reasons)
    columns = export.columns()
    years = Counter(str(day)[:4] for day in columns.get("procedure_date", ()) if day)
    enough = sorted(year for year, count in years.items() if count >= FEWEST)
    return {
        "read": len(export.rows),
        "accepted": len(export.accepted),
        "rejected": len(export.rejected),
        "rejected_reasons": {reason: shown_count(count) for reason, count in reasons.most_common()},
        "centres": len({value for value in columns.get("centre_id", ()) if value}) or None,
        "years": [enough[0], enough[-1]] if enough else None,
    }


def shown_count(count: int) -> int | None:
    """The count, or None where it is so small that it could point at somebody; 0 points at nobody."""
    return None if 0 < count < FEWEST else int(count)


def _horizon(look: Look) -> dict[str, Any]:
    curve, decision, spread = look.calibration.curve, look.decision, look.distribution
    return {
        "months": look.months,
        "days": look.days,
        "suffix": look.suffix,
        "event": look.event,
        "calibration": {
            "predicted": _list(curve.predicted),
            "observed": _list(curve.observed),
            "lo": _list(curve.lo),
            "hi": _list(curve.hi),
        },
        "decision": {
            one.name: _list(getattr(decision, one.name)) for one in fields(decision) if one.name != "influence"
        },
        "distribution": {
            "levels": _list(spread.levels),
            "event": _list(spread.event),
            "no_event": _list(spread.no_event),
            "mean_event": _round(spread.mean_event),
            "mean_no_event": _round(spread.mean_no_event),
        },
        "histogram": {"width": BAR, "counts": [shown_count(int(count)) for count in look.counts]},
    }


def _follow_up(target: Refracture) -> int | None:
    """Median follow-up in tens of days, by Kaplan-Meier of being censored (Schemper and Smith 1996)."""
    censored = np.where(target.event_code == 0, 1, 0)
    tens = np.arange(10.0, target.days.max() + 1, 10.0)
    place = bisect_left(tens, 0.5, key=lambda day: metrics.aalen_johansen(censored, target.days, [day]).value[0])
    return int(tens[place]) if place < len(tens) else None


def _incidence(target: Refracture) -> dict[str, Any]:
    """On the models' grid of days: Aalen-Johansen of any refracture and each cause, and one minus Kaplan-Meier."""
    days = [float(day) for day in GRID_DAYS if day <= target.days.max()]
    found: dict[str, Any] = {"days": days, "landmark_day": target.landmark_day}
    found |= {"aalen_johansen": {}, "one_minus_kaplan_meier": {}}
    for name in EVENTS:
        code = event_codes(target.event_code, name)
        curve = metrics.aalen_johansen(code, target.days, days, cluster=target.patient)
        found["aalen_johansen"][name] = {end: _list(getattr(curve, end)) for end in ("value", "lo", "hi")}
        found["one_minus_kaplan_meier"][name] = _list(metrics.one_minus_kaplan_meier(code, target.days, days))
    return found


def characteristics(people: Cohort) -> list[dict[str, Any]]:
    """Each predictor overall and by outcome: quartiles, or how many of how many known have it."""
    target = people.target
    event = target.leaked == 1 if isinstance(target, Leakage) else any_code(target) == 1
    groups = {"all": np.ones(len(event), dtype=bool), "event": event, "no_event": ~event}
    return [_characteristic(one, people.matrix[one.name], groups) for one in PREDICTORS[people.outcome]]


def _characteristic(predictor: Predictor, values: Floats, groups: Mapping[str, NDArray[np.bool_]]) -> dict[str, Any]:
    unknown = int(np.isnan(values).sum())
    found: dict[str, Any] = {
        "name": predictor.name,
        "rows": len(values),
        "unknown": shown_count(unknown),
        "unknown_share": None if shown_count(unknown) is None else round(unknown / len(values), 3),
    }
    known = {name: values[rows & ~np.isnan(values)] for name, rows in groups.items()}
    if predictor.shape in ("continuous", "score"):
        return found | {"quartiles": {name: _quartiles(predictor, kept) for name, kept in known.items()}}
    levels = dict(enumerate(predictor.levels)) if predictor.levels else {1: "yes"}
    shares = {label: _shares(known, code) for code, label in levels.items()}
    for group in groups:  # a single gap among the levels could be filled from the others
        if any(share[group] is None for share in shares.values()):
            shares = {label: share | {group: None} for label, share in shares.items()}
    return found | {"levels": shares}


def _quartiles(predictor: Predictor, known: Floats) -> list[float] | None:
    if len(known) < FEWEST_FOR_QUARTILES:
        return None
    step = predictor.resolution or 1.0
    # A quantile can be the value of one patient; a point of the grid tells of nobody.
    return [float(value) for value in np.round(np.quantile(known, (0.25, 0.5, 0.75)) / step) * step]


def _shares(known: Mapping[str, Floats], code: int) -> dict[str, list[int] | None]:
    """[how many have it, of how many known] by group; None where a small count could be seen or worked out."""
    counts = {name: (int((values == code).sum()), len(values)) for name, values in known.items()}
    small = {name: any(0 < part < FEWEST for part in (has, of - has)) for name, (has, of) in counts.items()}
    if small["event"] or small["no_event"]:  # from the whole and one group the other could be worked out
        small["event"] = small["no_event"] = True
    return {name: None if small[name] else list(pair) for name, pair in counts.items()}


def _list(values: Floats) -> list[float | None]:
    return [_round(float(value)) for value in values]


def _round(value: float) -> float | None:
    """Six digits are more than any figure shows; what does not exist is null."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
