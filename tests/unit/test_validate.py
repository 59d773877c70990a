"""Base rates of the training folds, and what is measured when follow-up ends before a horizon."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from lifelines import AalenJohansenFitter

from features.outcome import CAUSES, HORIZON_DAYS, Refracture
from tests.fitted import training_cohort
from training.draw import show
from training.promote import gate
from training.validate import FOLDS, HORIZONS, Validated, any_code, base_rates, measure


def followed(days: float) -> Refracture:
    """The refractures of simulated patients as known when everybody is last seen after so many days."""
    whole = training_cohort("refracture").target
    code = np.where(whole.days <= days, whole.event_code, 0)
    return replace(whole, event_code=code, days=np.minimum(whole.days, days))


def measured(target: Refracture) -> dict[str, float]:
    people = replace(training_cohort("refracture"), target=target)
    base = base_rates(people, fold_of(len(target)))
    rng = np.random.default_rng(4)
    risk = np.clip(np.array([0.05, 0.12, 0.18]) * rng.lognormal(0, 0.4, (len(target), 1)), 0.001, 0.9)
    return measure(target, risk, risk[:, None, :].repeat(4, axis=1) / 4, base)


def fold_of(rows: int) -> np.ndarray:
    return np.arange(rows) % FOLDS


def horizons(found: dict[str, float]) -> set[int]:
    return {months for months in HORIZON_DAYS if f"log_loss_m{months}" in found}


def test_base_rates_of_leakage_are_those_of_the_other_folds_by_detection() -> None:
    people = training_cohort("leakage")
    fold = fold_of(len(people.matrix))
    base = base_rates(people, fold)
    for k in range(FOLDS):
        for code in (0, 1):
            seen = (fold != k) & (people.target.detection == code)
            here = (fold == k) & (people.target.detection == code)
            assert base[here] == pytest.approx(people.target.leaked[seen].mean())


@pytest.mark.filterwarnings("ignore:Tied event times were detected")  # lifelines adds a jitter and says so
def test_base_rates_of_refracture_are_those_of_lifelines() -> None:
    people = training_cohort("refracture")
    fold = fold_of(len(people.matrix))
    base = base_rates(people, fold)
    others = fold != 0
    curve = AalenJohansenFitter(seed=1, calculate_variance=False)
    curve.fit(people.target.days[others], any_code(people.target)[others], event_of_interest=1)
    expected = [curve.cumulative_density_.loc[: days + 0.5].iloc[-1, 0] for days in HORIZONS]
    np.testing.assert_allclose(base[fold == 0][0], expected, atol=2e-3)


def test_any_code_knows_refracture_and_death() -> None:
    codes = np.arange(len(CAUSES) + 1)
    target = Refracture(codes, np.ones(5), codes)
    assert any_code(target).tolist() == [0, 1, 1, 1, 2]


@pytest.mark.parametrize(("days", "expected"), [(5_000, {3, 12, 24}), (500, {3, 12}), (200, {3})])
def test_a_horizon_that_follow_up_does_not_reach_has_no_metrics(days: float, expected: set[int]) -> None:
    found = measured(followed(days))
    assert horizons(found) == expected
    assert all(np.isfinite(value) for name, value in found.items() if not name.endswith(("_lo", "_hi")))
    assert {name.split("_m")[-1].split("_")[0] for name in found} == {str(months) for months in expected}


def test_nobody_followed_to_any_horizon_measures_nothing() -> None:
    assert measured(followed(60)) == {}


def test_one_patient_followed_for_long_does_not_carry_a_horizon_alone() -> None:
    target = followed(500)
    days = target.days.copy()
    days[0] = 900.0
    target = replace(target, days=days, event_code=np.where(np.arange(len(days)) == 0, 0, target.event_code))
    assert horizons(measured(target)) == {3, 12}


def test_the_gate_and_the_figures_do_without_the_late_horizon() -> None:
    people = replace(training_cohort("refracture"), target=followed(500))
    found = measured(people.target)
    enough = {"patients_m12": 5_000.0, "patients_needed_m12": 4_000.0}
    assert not any(np.isnan(check.found) for check in gate("refracture", found | enough))
    assert all(not check.passed for check in gate("refracture", measured(followed(200)))[:4])
    risk = np.full((len(people.target), 3), 0.1) * np.linspace(0.5, 1.5, len(people.target))[:, None]
    shown = show(people, Validated("cox", None, risk, None, risk, found), {})
    pairs = [f"{kind}_m{months}.png" for kind in ("calibration", "decision_curve") for months in (12, 3)]
    assert sorted(shown.figures) == [*pairs, "summary.png"]
    assert [one["months"] for one in json.loads(shown.documents["evaluation.json"])["horizons"]] == [3, 12]
