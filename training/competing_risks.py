"""Each cause of refracture and death by itself: observed, predicted, and what one minus Kaplan-Meier would say.

The table of ``competing_risks.json``, which every run of a refracture model keeps: aggregates only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import TooLittleData
from features.outcome import CAUSES, HORIZON_DAYS, Refracture
from training import metrics
from training.metrics import Estimate
from training.validate.judging import shown

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

NAME = "competing_risks.json"
FORMAT = 1
#: Refracture of any kind, then each event of its own.
EVENTS = ("any", *CAUSES)
_CALIBRATION = ("oe", "calibration_in_the_large", "calibration_slope", "ici", "e90")


@dataclass(frozen=True, slots=True)
class Row:
    """One event by one horizon.

    ``events``: how many had it by then, None if so few that it could point at somebody. ``observed``: Aalen-Johansen,
    the other events competing. ``one_minus_kaplan_meier``: the same patients with the other events taken for
    censoring, and ``too_high_by`` their difference: the dead do not fracture. ``predicted``: mean out-of-sample
    incidence. ``calibration``: of that incidence, each with its interval, by pseudo-observations; empty with
    ``reason`` where too few had the event.
    """

    event: str
    months: int
    days: int
    events: int | None
    observed: dict[str, float | None]
    one_minus_kaplan_meier: float
    too_high_by: float
    predicted: float | None
    calibration: dict[str, dict[str, float | None]]
    reason: str = ""


def event_codes(event_code: Ints, event: str) -> Ints:
    """Codes with the event as 1 and every other one as competing (2); ``any`` is any refracture."""
    if event == "any":
        fractured = (event_code > 0) & (event_code < len(CAUSES))
        return np.where(fractured, 1, np.where(event_code > 0, 2, 0))
    return np.where(event_code == CAUSES.index(event) + 1, 1, np.where(event_code > 0, 2, 0))


def competing_risks(target: Refracture, incidence: Floats | None) -> list[Row]:
    """A row for each event at each horizon that follow-up reaches.

    ``incidence``: (n, 4, horizons) out of sample, of same, adjacent, remote and death; None if there is none.
    """
    return [
        _row(target, incidence, event, months, index)
        for event in EVENTS
        for index, (months, days) in enumerate(HORIZON_DAYS.items())
        if days <= target.days.max()
    ]


def as_json(target: Refracture, incidence: Floats | None) -> dict[str, Any]:
    """The whole artifact. ``landmark_day``: the day after the procedure from which time counts."""
    rows = [asdict(row) for row in competing_risks(target, incidence)]
    return {"format": FORMAT, "landmark_day": target.landmark_day, "rows": rows}


def _row(target: Refracture, incidence: Floats | None, event: str, months: int, index: int) -> Row:
    code, days = event_codes(target.event_code, event), list(HORIZON_DAYS.values())[index]
    observed = metrics.aalen_johansen(code, target.days, [days], cluster=target.patient)
    naive = float(metrics.one_minus_kaplan_meier(code, target.days, [days])[0])
    risk = None if incidence is None else _predicted(incidence[:, :, index], event)
    calibration, reason = _calibration(risk, code, target, days)
    return Row(
        event=event,
        months=months,
        days=days,
        events=shown(int(((code == 1) & (target.days <= days)).sum())),
        observed={end: _number(getattr(observed, end)[0]) for end in ("value", "lo", "hi")},
        one_minus_kaplan_meier=naive,
        too_high_by=naive - float(observed.value[0]),
        predicted=None if risk is None else float(risk.mean()),
        calibration=calibration,
        reason=reason,
    )


def _predicted(incidence: Floats, event: str) -> Floats:
    """Of one event by one horizon, (n,); ``incidence``: (n, 4)."""
    if event == "any":
        return np.asarray(incidence[:, :-1].sum(axis=1))
    return incidence[:, CAUSES.index(event)]


def _calibration(
    risk: Floats | None, code: Ints, target: Refracture, days: int
) -> tuple[dict[str, dict[str, float | None]], str]:
    if risk is None:
        return {}, "nothing was predicted out of sample"
    try:
        found = metrics.calibration_at(risk, code, target.days, days, cluster=target.patient)
    except TooLittleData as error:
        return {}, str(error)
    return {name: _interval(getattr(found, name)) for name in _CALIBRATION}, ""


def _interval(estimate: Estimate) -> dict[str, float | None]:
    return {end: _number(getattr(estimate, end)) for end in ("value", "lo", "hi")}


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if np.isfinite(value) else None
