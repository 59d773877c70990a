"""The table of competing risks: hand-made patients, lifelines, and what must hold between its columns."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from lifelines import KaplanMeierFitter

from features.outcome import CAUSES, HORIZON_DAYS, Refracture
from tests.fitted import fitted, training_cohort
from training import metrics
from training.competing_risks import EVENTS, Row, as_json, competing_risks, event_codes


def followed(codes: list[int], days: list[float]) -> Refracture:
    return Refracture(np.array(codes), np.array(days), np.arange(len(codes)))


@cache
def rows(outcome: str = "refracture") -> dict[tuple[str, int], Row]:
    people = training_cohort(outcome)  # type: ignore[arg-type]
    incidence = fitted(outcome, "cox").cumulative_incidence(people.matrix, tuple(HORIZON_DAYS.values()))  # type: ignore[arg-type]
    assert isinstance(people.target, Refracture)
    return {(row.event, row.months): row for row in competing_risks(people.target, incidence)}


def test_without_censoring_it_is_counting() -> None:
    """Ten patients, all seen to the end: two refractures at the same level and three deaths by 91 days."""
    target = followed([1, 1, 4, 4, 4, 0, 0, 0, 0, 0], [10, 60, 20, 20, 80, 800, 800, 800, 800, 800])
    found = {(row.event, row.months): row for row in competing_risks(target, None)}
    assert found["same", 3].observed["value"] == pytest.approx(0.2)
    assert found["death", 3].observed["value"] == pytest.approx(0.3)
    # Kaplan-Meier with the dead taken for lost: 9/10 at day 10, and 6/7 at day 60, of those still there.
    assert found["same", 3].one_minus_kaplan_meier == pytest.approx(1 - 9 / 10 * 6 / 7)
    assert found["same", 3].too_high_by == pytest.approx(1 - 9 / 10 * 6 / 7 - 0.2)
    assert found["adjacent", 24].observed["value"] == 0 and found["same", 3].events is None
    assert found["same", 3].calibration == {} and found["same", 3].reason


def test_one_minus_kaplan_meier_is_that_of_lifelines() -> None:
    target = training_cohort("refracture").target
    assert isinstance(target, Refracture)
    for (event, _), row in rows().items():
        happened = event_codes(target.event_code, event) == 1
        fit = KaplanMeierFitter().fit(target.days, happened)
        assert row.one_minus_kaplan_meier == pytest.approx(1 - float(fit.predict(row.days)), abs=1e-12)


def test_the_dead_do_not_fracture() -> None:
    """One minus Kaplan-Meier is never below the incidence, above it where others compete; its causes exceed any."""
    for row in rows().values():
        assert row.too_high_by >= -1e-12
    last = {event: rows()[event, 24] for event in EVENTS}
    assert all(row.too_high_by > 0.001 for row in last.values())
    causes = [last[cause] for cause in CAUSES[:3]]
    assert sum(row.observed["value"] or 0 for row in causes) == pytest.approx(last["any"].observed["value"], abs=1e-9)
    assert sum(row.one_minus_kaplan_meier for row in causes) > last["any"].one_minus_kaplan_meier


def test_predictions_of_the_causes_add_up_and_are_judged() -> None:
    for months in HORIZON_DAYS:
        causes = [rows()[cause, months].predicted for cause in CAUSES[:3]]
        assert sum(value or 0 for value in causes) == pytest.approx(rows()["any", months].predicted)
    for row in rows().values():
        oe = row.calibration["oe"]
        assert oe["value"] == pytest.approx((row.observed["value"] or 0) / (row.predicted or 1))
        assert set(row.calibration) == {"oe", "calibration_in_the_large", "calibration_slope", "ici", "e90"}
        assert oe["lo"] < oe["value"] < oe["hi"]  # type: ignore[operator]


def test_each_cause_is_judged_as_the_metrics_would() -> None:
    people = training_cohort("refracture")
    target = people.target
    assert isinstance(target, Refracture)
    risk = fitted("refracture", "cox").cumulative_incidence(people.matrix, (365,))[:, 1, 0]
    code = np.where(target.event_code == 2, 1, np.where(target.event_code > 0, 2, 0))
    asked = metrics.calibration_at(risk, code, target.days, 365, cluster=target.patient)
    found = rows()["adjacent", 12].calibration["calibration_slope"]
    assert found["value"] == pytest.approx(asked.calibration_slope.value)
    assert (found["lo"], found["hi"]) == (
        pytest.approx(asked.calibration_slope.lo),
        pytest.approx(asked.calibration_slope.hi),
    )


def test_a_horizon_beyond_follow_up_has_no_row_and_json_has_no_nan() -> None:
    target = training_cohort("refracture").target
    assert isinstance(target, Refracture)
    short = replace(
        target, days=np.minimum(target.days, 400.0), event_code=np.where(target.days > 400, 0, target.event_code)
    )
    found = json.loads(json.dumps(as_json(short, None), allow_nan=False))
    assert {row["months"] for row in found["rows"]} == {3, 12} and found["landmark_day"] == 0


def test_small_counts_are_left_out() -> None:
    found = competing_risks(followed([1] * 4 + [2] * 6 + [0] * 10, [50.0] * 10 + [800.0] * 10), None)
    counts = {row.event: row.events for row in found if row.months == 3}
    assert counts == {"any": 10, "same": None, "adjacent": 6, "remote": 0, "death": 0}
