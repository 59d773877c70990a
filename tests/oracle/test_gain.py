"""Models against the known truth, small: 2,000 patients teach, 4,000 others ask."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from features.build import Outcome, build
from features.outcome import HORIZON_DAYS
from models import CoxRisk, LogisticRisk, Settings
from tests.fitted import registry
from training import metrics
from training.cohort import cohort
from training.simulate import share_of_gain
from training.validate import any_code

TEACHERS, ASKERS = 2_000, 4_000


@cache
def risks(outcome: Outcome) -> tuple[float, np.ndarray, np.ndarray]:
    """Base rate of the teachers, risk and true risk of the askers (by CT, or by 12 months)."""
    people = cohort(registry(TEACHERS, 21).columns, outcome)
    fresh = registry(ASKERS, 22)
    model = (LogisticRisk if outcome == "leakage" else CoxRisk)(Settings(refits=0)).fit(people.matrix, people.target)
    if outcome == "leakage":
        by_ct = people.target.detection == 1
        matrix = build(fresh.columns, outcome, detection="CT", patient=fresh.patient)
        return float(people.target.leaked[by_ct].mean()), model.risk(matrix), fresh.truth["leak_any_ct"]
    base = metrics.aalen_johansen(any_code(people.target), people.target.days, [HORIZON_DAYS[12]]).value[0]
    matrix = build(fresh.columns, outcome, patient=fresh.patient)
    first = np.sort(np.unique(fresh.patient, return_index=True)[1])
    return float(base), model.risk(matrix, HORIZON_DAYS[12]), fresh.truth["refracture_any_m12"][first]


@pytest.mark.parametrize(("outcome", "least"), [("leakage", 0.6), ("refracture", 0.5)])
def test_most_of_what_can_be_gained_is_gained(outcome: Outcome, least: float) -> None:
    base, risk, truth = risks(outcome)
    assert least <= share_of_gain(base, risk, truth) < 1


@pytest.mark.parametrize("outcome", ["leakage", "refracture"])
def test_risks_are_calibrated_against_the_truth(outcome: Outcome) -> None:
    _, risk, truth = risks(outcome)
    eta = np.log(risk / (1 - risk))
    slope = np.polyfit(eta, np.log(truth / (1 - truth)), 1)[0]
    assert 0.8 < truth.mean() / risk.mean() < 1.25
    # The truth varies more than a model with missing values can know, never the other way round by much.
    assert 0.7 < slope < 1.5


@pytest.mark.parametrize("outcome", ["leakage", "refracture"])
def test_the_truth_itself_raises_no_alarm_and_is_beaten_by_nobody(outcome: Outcome) -> None:
    base, risk, truth = risks(outcome)
    assert share_of_gain(base, truth, truth) == pytest.approx(1)
    assert np.corrcoef(risk, truth)[0, 1] < 0.98
