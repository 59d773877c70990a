"""The model asked after surgery against the simulator's truth at the landmark."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from features.after_surgery import LANDMARK_DAY
from features.build import MOMENT_OF, Matrix, Outcome, build
from features.outcome import CAUSES, HORIZON_DAYS, Refracture
from models import CoxRisk, Settings
from models.interface import predictor_columns
from tests.fitted import registry
from training.cohort import cohort
from training.simulate import share_of_gain

TEACHERS, ASKERS = 3_000, 6_000


@cache
def models() -> tuple[CoxRisk, CoxRisk]:
    """Taught by the same patients, on the same clock: with what the operation showed, and without."""
    people = cohort(registry(TEACHERS, 21).columns, "refracture-postop")
    target = people.target
    assert isinstance(target, Refracture)
    columns = predictor_columns("refracture")
    planned = build(registry(TEACHERS, 21).columns, "refracture", patient=registry(TEACHERS, 21).patient)
    kept = np.isin(planned.patient, people.patient)
    before = Matrix(columns, planned.values[kept], people.patient)
    same_clock = Refracture(target.event_code, target.days, target.patient)
    none = Settings(refits=0)
    return CoxRisk(none).fit(people.matrix, target), CoxRisk(none).fit(before, same_clock)


def incidence(model: CoxRisk, outcome: Outcome) -> np.ndarray:
    """Of the four events by 12 months, of patients whom no model has seen."""
    fresh = registry(ASKERS, 22)
    matrix = build(fresh.columns, outcome, moment=MOMENT_OF[outcome], patient=fresh.patient)
    return model.cumulative_incidence(matrix, (HORIZON_DAYS[12],))[:, :, 0]


def truth(name: str) -> np.ndarray:
    fresh = registry(ASKERS, 22)
    return fresh.postop_truth[f"{name}_m12"][fresh.first_rows]


def test_what_the_operation_showed_is_worth_something() -> None:
    after, before = incidence(models()[0], "refracture-postop"), incidence(models()[1], "refracture")
    for name, causes in (("refracture_any", (0, 1, 2)), ("refracture_same", (0,))):
        true, base = truth(name), float(truth(name).mean())
        gains = [share_of_gain(base, found[:, causes].sum(axis=1), true) for found in (after, before)]
        assert gains[0] > gains[1] and gains[0] > 0.5, name
    assert share_of_gain(base, after[:, 0], true) > share_of_gain(base, before[:, 0], true) + 0.1


def test_each_cause_has_its_level() -> None:
    found = incidence(models()[0], "refracture-postop")
    for place, cause in enumerate(CAUSES):
        name = "death" if cause == "death" else f"refracture_{cause}"
        assert 0.8 < truth(name).mean() / found[:, place].mean() < 1.25, cause


@pytest.mark.parametrize("tenth", ["all", "highest"])
def test_the_truth_at_the_landmark_is_the_share_of_what_happens(tenth: str) -> None:
    drawn = registry(20_000, 23)
    first = drawn.first_rows
    day, event = drawn.happened["first_event_days"][first], drawn.happened["first_event"][first]
    reached = day > LANDMARK_DAY
    for horizon, days in (("m3", 91), ("m12", 365), ("m24", 730)):
        for cause in CAUSES:
            name = f"death_{horizon}" if cause == "death" else f"refracture_{cause}_{horizon}"
            true = drawn.postop_truth[name][first]
            who = reached & (true >= (0 if tenth == "all" else np.quantile(true, 0.9)))
            hits = (event[who] == cause) & (day[who] <= LANDMARK_DAY + days)
            error = np.sqrt((true[who] * (1 - true[who])).mean() / who.sum())
            assert abs(hits.mean() - true[who].mean()) < 4 * error, name


def test_knowing_the_operation_spreads_the_risks_about_the_same_mean() -> None:
    drawn = registry(20_000, 23)
    before, after = drawn.truth["refracture_same_m12"], drawn.postop_truth["refracture_same_m12"]
    assert after.std() > 1.2 * before.std()
    assert 0.8 < after.mean() / before.mean() < 1
