"""Whole models against the truth of the simulator: what they rank, what they promise, and what their intervals say."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from features.build import MOMENT_OF, Matrix, Outcome, build
from features.outcome import CAUSES, ROUTES, Leakage
from models import CoxRisk, LogisticRisk, Settings
from models.calibrate import link, recalibration
from models.calibrated import CalibratedRisk
from models.interface import Learner
from tests.fitted import ALL, fitted, fresh_matrix, registry, training_cohort
from training.cohort import cohort
from training.simulate.gain import share_of_gain

Floats = NDArray[np.float64]
FRESH_PATIENTS = 5_000
EVERY = pytest.mark.parametrize(("outcome", "learner"), ALL)


@cache
def _asked(outcome: Outcome) -> Matrix:
    found = registry(FRESH_PATIENTS, 31)
    return build(found.columns, outcome, moment=MOMENT_OF[outcome], detection="CT", patient=found.patient)


def _truth(outcome: Outcome, column: str) -> Floats:
    found = registry(FRESH_PATIENTS, 31)
    values = (found.postop_truth if outcome == "refracture-postop" else found.truth)[column]
    return values if outcome == "leakage" else values[found.first_rows]


@EVERY
def test_fresh_patients_are_told_nearly_the_truth(outcome: Outcome, learner: Learner) -> None:
    """1,200 patients teach half of what can be known of leakage, a quarter of it of refracture, and the right level."""
    risk = fitted(outcome, learner).risk(_asked(outcome))
    truth = _truth(outcome, "leak_any_ct" if outcome == "leakage" else "refracture_any_m12")
    base = float(truth.mean())
    assert share_of_gain(base, risk, truth) > (0.5 if outcome == "leakage" else 0.25)
    # These 1,200 happen to have a fifth more refractures than is true of them, by chance.
    assert 0.7 < truth.mean() / risk.mean() < 1.3
    assert np.corrcoef(link("log_odds", truth), link("log_odds", risk))[0, 1] > 0.6


@pytest.mark.parametrize("learner", ["logistic", "boosted"])
def test_routes_have_their_own_level(learner: Learner) -> None:
    routes = fitted("leakage", learner).routes(_asked("leakage"))
    for index, route in enumerate(ROUTES):
        truth = _truth("leakage", f"leak_{route}")
        assert 0.7 < truth.mean() / routes[:, index].mean() < 1.4
        assert np.corrcoef(link("log_odds", truth), link("log_odds", routes[:, index]))[0, 1] > 0.3


@pytest.mark.parametrize("learner", ["cox", "boosted"])
def test_causes_have_their_own_level(learner: Learner) -> None:
    incidence = fitted("refracture", learner).cumulative_incidence(_asked("refracture"), (91, 365, 730))
    for index, cause in enumerate(CAUSES):
        name = cause if cause == "death" else f"refracture_{cause}"
        for at, months in enumerate((3, 12, 24)):
            truth = _truth("refracture", f"{name}_m{months}")
            assert 0.6 < truth.mean() / incidence[:, index, at].mean() < 1.6, (cause, months)


@pytest.mark.parametrize("learner", ["logistic", "cox", "boosted"])
def test_a_film_finds_fewer_leaks(learner: Learner) -> None:
    """The same vertebrae, once looked at by CT and once by radiograph: the truth falls by as much as the risk."""
    found = registry(FRESH_PATIENTS, 31)
    film = build(found.columns, "leakage", detection="radiograph", patient=found.patient)
    model = fitted("leakage", learner)
    assert (model.risk(film) < model.risk(_asked("leakage"))).mean() > 0.99
    told = model.risk(film).mean() / model.risk(_asked("leakage")).mean()
    true = found.truth["leak_any_radiograph"].mean() / found.truth["leak_any_ct"].mean()
    assert told == pytest.approx(true, abs=0.2)


def test_recalibration_finds_slope_and_intercept() -> None:
    """Predictors twice too wild and half a unit too high; recalibrated once, nothing is left to recalibrate."""
    rng = np.random.default_rng(23)
    eta = rng.normal(-1.5, 1.0, 20_000)
    y = (rng.random(len(eta)) < 1 / (1 + np.exp(-eta))).astype(float)
    intercept, slope = recalibration(2 * eta + 0.5, y)
    assert slope == pytest.approx(0.5, abs=0.02)
    assert intercept == pytest.approx(-0.25, abs=0.05)
    again = recalibration(intercept + slope * (2 * eta + 0.5), y)
    np.testing.assert_allclose(again, (0.0, 1.0), atol=2e-3)  # the first slope was drawn towards 1 by a trace


def test_recalibration_does_not_turn_a_wrong_ranking_round() -> None:
    rng = np.random.default_rng(24)
    eta = rng.normal(size=500)
    y = (rng.random(500) < 1 / (1 + np.exp(eta))).astype(float)
    intercept, slope = recalibration(eta, y)
    assert slope == 0.0
    assert intercept == pytest.approx(float(np.log(y.mean() / (1 - y.mean()))))
    assert recalibration(np.ones(500), y)[1] == 0.0


def test_out_of_fold_recalibration_shrinks_what_was_overfitted() -> None:
    """Few patients: the slope says how much too wild out-of-fold predictions are; with more it nears 1."""
    model = fitted("leakage", "logistic")
    assert 0.6 < float(model.head.slope[0]) < 1.5
    found = training_cohort("leakage")
    assert isinstance(found.target, Leakage)
    assert model.risk(found.matrix).mean() == pytest.approx(found.target.leaked.mean(), rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("outcome", "kind"), [("leakage", LogisticRisk), ("refracture", CoxRisk)])
def test_intervals_are_as_wide_as_registries_differ(outcome: Outcome, kind: type[LogisticRisk] | type[CoxRisk]) -> None:
    """Twelve registries of 700 patients: the spread of their risks is what one of them says in its interval."""
    asked = fresh_matrix(outcome).take(np.arange(60))

    def fit(seed: int, refits: int) -> CalibratedRisk:
        found = cohort(registry(700, seed).columns, outcome)
        return kind(Settings(seed=seed, refits=refits)).fit(found.matrix, found.target)

    totals = np.array([link("log_odds", fit(seed, 0).risk(asked)) for seed in range(100, 112)])
    said = [link("log_odds", fit(seed, 30).interval(asked)) for seed in (200, 201)]
    half = np.mean([(found[:, 1] - found[:, 0]) / 2 for found in said], axis=0)
    ratio = half / 1.96 / totals.std(axis=0, ddof=1)
    assert 0.6 < np.median(ratio) < 1.5
