"""Cumulative incidence where it is known: constant hazards in closed form, no covariates by Aalen and Johansen."""

from __future__ import annotations

import lifelines
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.errors import UsageError
from models.competing import GRID_DAYS, HazardHead, hazard_recalibration
from models.newton import RiskSets, efron_hazard

Floats = NDArray[np.float64]
GRID = np.array(GRID_DAYS, dtype=float)
HORIZONS = (91, 365, 730)


def _constant(rates_per_day: Floats, slope: Floats | None = None) -> HazardHead:
    lengths = np.diff(GRID, prepend=0.0)
    slopes = np.ones(len(rates_per_day)) if slope is None else slope
    return HazardHead(GRID, rates_per_day[:, None] * lengths, slopes, np.zeros((0, len(slopes), len(GRID))), events=3)


@given(rates=st.lists(st.floats(1e-7, 1e-2), min_size=4, max_size=4))
@settings(max_examples=50, deadline=None)
def test_constant_hazards_have_a_closed_form(rates: list[float]) -> None:
    """F_k(t) = rate_k / rate * (1 - exp(-rate t)), with the total rate of all four."""
    rate = np.array(rates)
    found = _constant(rate).cumulative_incidence(np.zeros((1, 4)), HORIZONS)[0]
    expected = (rate / rate.sum())[:, None] * -np.expm1(-rate.sum() * np.array(HORIZONS))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)


def test_linear_predictors_scale_the_hazards() -> None:
    rate = np.array([1e-4, 2e-4, 5e-5, 3e-4])
    eta = np.array([[0.5, -1.0, 0.0, 2.0]])
    slope = np.array([1.0, 0.5, 2.0, 0.8])
    moved = _constant(rate, slope).cumulative_incidence(eta, HORIZONS)
    again = _constant(rate * np.exp(slope * eta[0])).cumulative_incidence(np.zeros((1, 4)), HORIZONS)
    np.testing.assert_allclose(moved, again, rtol=1e-12)


def test_without_covariates_it_is_the_aalen_johansen_estimate() -> None:
    rng = np.random.default_rng(8)
    n, rates = 4000, np.array([2e-4, 4e-4, 2e-4, 5e-4])
    first = rng.exponential(1 / rates.sum(), n)
    cause = 1 + rng.choice(4, n, p=rates / rates.sum())
    censored = rng.uniform(100, 1500, n)
    days, code = np.minimum(first, censored), np.where(first <= censored, cause, 0)
    hazard = [np.diff(efron_hazard(np.zeros(n), RiskSets.of(days, code == k), GRID), prepend=0.0) for k in range(1, 5)]
    head = HazardHead(GRID, np.array(hazard), np.ones(4), np.zeros((0, 4, len(GRID))), events=3)
    found = head.cumulative_incidence(np.zeros((1, 4)), HORIZONS)[0]
    for k in range(1, 5):
        fitter = lifelines.AalenJohansenFitter(calculate_variance=False).fit(days, code, event_of_interest=k)
        curve = fitter.cumulative_density_.iloc[:, 0]
        expected = [float(curve[curve.index <= horizon].iloc[-1]) for horizon in HORIZONS]
        np.testing.assert_allclose(found[k - 1], expected, atol=3e-4)


def test_the_hazard_is_recalibrated_to_what_was_seen() -> None:
    """Out-of-fold predictors three times too wild, and shifted: the slope becomes a third, the shift is absorbed."""
    rng = np.random.default_rng(9)
    eta = rng.normal(size=5000)
    days = rng.exponential(np.exp(-eta) * 700)
    sets = RiskSets.of(np.minimum(days, 730), days <= 730)
    slope, hazard = hazard_recalibration(3 * eta + 5, sets, GRID)
    assert slope == pytest.approx(1 / 3, abs=0.02)
    head = HazardHead(GRID, hazard[None], np.array([slope]), np.zeros((0, 1, len(GRID))), events=1)
    risk = head.incidence((3 * eta + 5)[:, None], 365)
    assert risk.mean() == pytest.approx((days <= 365).mean(), abs=0.01)


def test_predictors_without_signal_get_slope_zero() -> None:
    rng = np.random.default_rng(10)
    days = rng.exponential(500, 400)
    wrong_way = np.log(days)
    slope, hazard = hazard_recalibration(wrong_way, RiskSets.of(days, np.ones(400, dtype=bool)), GRID)
    assert slope == 0.0
    assert hazard.sum() > 0


@given(eta=st.lists(st.floats(-3, 3), min_size=4, max_size=4))
@settings(max_examples=30, deadline=None)
def test_the_gradient_is_the_derivative(eta: list[float]) -> None:
    head = _constant(np.array([2e-4, 4e-4, 1e-4, 6e-4]), np.array([0.9, 1.1, 0.7, 1.0]))
    at, step = np.array([eta]), 1e-5
    found = head.gradient(at)[0]
    expected = [(head.total(at + move) - head.total(at - move))[0] / (2 * step) for move in step * np.eye(4)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("events", [3, 4])
@pytest.mark.parametrize("everywhere", [-60.0, 60.0])
def test_a_risk_that_rounds_to_0_or_1_still_has_a_finite_explanation(events: int, everywhere: float) -> None:
    """NaN has no place in an answer."""
    lengths = np.diff(GRID, prepend=0.0)
    head = HazardHead(GRID, 1e-4 * np.ones((4, 1)) * lengths, np.ones(4), np.zeros((0, 4, len(GRID))), events=events)
    eta = np.full((1, 4), everywhere)
    assert np.isfinite(head.total(eta)).all() and np.isfinite(head.gradient(eta)).all()


def test_horizons_at_once_are_horizons_one_by_one() -> None:
    rng = np.random.default_rng(11)
    increments = rng.uniform(0, 0.01, (5, 4, len(GRID)))
    head = HazardHead(GRID, increments[0], np.array([1.0, 0.8, 1.2, 1.0]), increments, events=3)
    eta = rng.normal(size=(7, 4))
    many = rng.normal(size=(7, 4, 5))
    one_by_one = np.column_stack([head.total(eta, days) for days in HORIZONS])
    np.testing.assert_allclose(head.totals(eta, HORIZONS), one_by_one, rtol=1e-12)
    refits = np.stack([head.refit_totals(many, days) for days in HORIZONS], axis=1)
    np.testing.assert_allclose(head.totals_of_refits(many, HORIZONS), refits, rtol=1e-12)
    together = head.cumulative_incidence(eta, HORIZONS)[:, :3].sum(axis=1)
    np.testing.assert_allclose(together, -np.expm1(-np.exp(one_by_one)), rtol=1e-10)


def test_a_rival_that_never_strikes_changes_nothing() -> None:
    """Alone a cause has one minus its survival; beside a cause without hazard the sum over intervals gives the same."""
    rng = np.random.default_rng(12)
    increments, eta = rng.uniform(0, 0.01, (6, 1, len(GRID))), rng.normal(size=(7, 1, 5))
    beside = np.concatenate([increments, np.zeros_like(increments)], axis=1)
    alone = HazardHead(GRID, increments[0], np.array([0.9]), increments[1:], events=1)
    two = HazardHead(GRID, beside[0], np.array([0.9, 1.0]), beside[1:], events=1)
    etas = np.concatenate([eta, rng.normal(size=eta.shape)], axis=1)
    both = two.totals(etas[:, :, 0], HORIZONS)
    np.testing.assert_allclose(alone.totals(eta[:, :, 0], HORIZONS), both, rtol=1e-12)
    refits = two.totals_of_refits(etas, HORIZONS)
    np.testing.assert_allclose(alone.totals_of_refits(eta, HORIZONS), refits, rtol=1e-12)


def test_a_horizon_off_the_grid_is_refused() -> None:
    with pytest.raises(UsageError, match="horizon_days must be one of"):
        _constant(np.full(4, 1e-4)).total(np.zeros((1, 4)), 364)
