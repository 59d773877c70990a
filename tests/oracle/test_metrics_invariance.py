"""What must not matter (order of rows and times, unit of time, data given twice), and equality to other programs."""

from __future__ import annotations

import numpy as np
import pytest
from lifelines import AalenJohansenFitter, KaplanMeierFitter
from lifelines.utils import concordance_index
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from training import metrics

HORIZON_DAYS = 365.0


def _cohort(seed: int = 2, rows: int = 500) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    risk = np.round(rng.beta(2, 5, rows), 2)
    days = np.ceil(rng.exponential(500, rows))
    code = rng.choice([0, 1, 2, 3], rows, p=[0.4, 0.35, 0.15, 0.1])
    return np.clip(risk, 0.01, 0.99), code, days, rng.integers(0, 200, rows)


def _same(first: dict[str, float], second: dict[str, float], points_only: bool = False, rel: float = 1e-7) -> None:
    assert first.keys() == second.keys()
    for name in first:
        if not (points_only and name.endswith(("_lo", "_hi"))):
            assert second[name] == pytest.approx(first[name], rel=rel, abs=1e-9), name


def test_order_of_rows():
    risk, code, days, patient = _cohort()
    place = np.random.default_rng(0).permutation(len(risk))
    first = metrics.summary_at(risk, code, days, HORIZON_DAYS, cluster=patient)
    second = metrics.summary_at(risk[place], code[place], days[place], HORIZON_DAYS, cluster=patient[place])
    _same(first, second, rel=1e-6)
    y = (code == 1).astype(int)
    _same(metrics.summary(risk, y, patient), metrics.summary(risk[place], y[place], patient[place]), rel=1e-6)


@pytest.mark.parametrize("unit", [1 / 365.25, 24.0, 1 / 30.4375])
def test_unit_of_time(unit):
    risk, code, days, _ = _cohort()
    first = metrics.summary_at(risk, code, days, HORIZON_DAYS)
    _same(first, metrics.summary_at(risk, code, days * unit, HORIZON_DAYS * unit))


def test_data_given_twice_keep_their_point_values():
    risk, code, days, _ = _cohort(rows=800)  # more than 100 events once too: fewer give the curve fewer knots
    twice = [np.tile(column, 2) for column in (risk, code, days)]
    first, second = metrics.summary_at(risk, code, days, HORIZON_DAYS), metrics.summary_at(*twice, HORIZON_DAYS)
    spline = ("ici", "e50", "e90", "emax")  # knots are sample quantiles, which move a little
    _same(*({k: v for k, v in s.items() if not k.startswith(spline)} for s in (first, second)), points_only=True)
    for name in spline:
        assert second[name] == pytest.approx(first[name], abs=2e-3)


def test_patients_given_twice_as_clusters_keep_their_intervals():
    risk, code, days, _ = _cohort()
    patient = np.tile(np.arange(len(risk)), 2)
    first = metrics.summary_at(risk, code, days, HORIZON_DAYS)
    twice = [np.tile(column, 2) for column in (risk, code, days)]
    second = metrics.summary_at(*twice, HORIZON_DAYS, cluster=patient)
    kept = ("auc", "brier", "scaled_brier", "log_loss", "oe", "calibration_slope", "net_benefit", "concordance_uno")
    _same(*({k: v for k, v in s.items() if k.startswith(kept)} for s in (first, second)))


def test_times_and_thresholds_in_any_order():
    risk, code, days, _ = _cohort()
    times, cuts = [730.0, 91.0, 365.0], [0.3, 0.1, 0.2]
    forward = metrics.aalen_johansen(code, days, sorted(times))
    mixed = metrics.aalen_johansen(code, days, times)
    for name in ("times", "value", "lo", "hi", "se"):
        assert getattr(mixed, name)[[1, 2, 0]] == pytest.approx(getattr(forward, name))
    curve, ordered = (metrics.net_benefit_at(risk, code, days, HORIZON_DAYS, c) for c in (cuts, sorted(cuts)))
    assert curve.value[[1, 2, 0]] == pytest.approx(ordered.value) and curve.treat_all[1] == ordered.treat_all[0]


@pytest.mark.parametrize("monotone", [lambda p: p**3, lambda p: 0.2 + 0.1 * p])
def test_ranking_metrics_see_only_the_order(monotone):
    risk, code, days, _ = _cohort()
    for function in (metrics.concordance, metrics.concordance_uno, metrics.auc_at):
        same = [function(one, code, days, HORIZON_DAYS).value for one in (risk, monotone(risk))]
        assert same[0] == pytest.approx(same[1], abs=1e-12)
        mirrored = function(-risk, code, days, HORIZON_DAYS).value
        assert mirrored == pytest.approx(1 - same[0], abs=1e-12)


def test_the_kinds_of_competing_event_do_not_matter():
    risk, code, days, _ = _cohort()
    _same(*(metrics.summary_at(risk, c, days, HORIZON_DAYS) for c in (code, np.where(code == 3, 2, code))))


def test_without_censoring_a_horizon_is_a_binary_outcome():
    """Nobody lost: every weighted metric is then the plain one of who had the event in time."""
    risk, code, days, patient = _cohort()
    code = np.where(code == 0, 1, code)
    y = ((code == 1) & (days <= HORIZON_DAYS)).astype(int)
    for name in ("auc", "brier", "scaled_brier", "log_loss"):
        at = getattr(metrics, f"{name}_at")(risk, code, days, HORIZON_DAYS, cluster=patient)
        plain = getattr(metrics, name)(risk, y, cluster=patient)
        assert (at.value, at.lo, at.hi, at.se) == pytest.approx((plain.value, plain.lo, plain.hi, plain.se)), name
    at, plain = (
        metrics.net_benefit_at(risk, code, days, HORIZON_DAYS, [0.2, 0.4]),
        metrics.net_benefit(risk, y, [0.2, 0.4]),
    )
    assert at.value == pytest.approx(plain.value) and at.se == pytest.approx(plain.se)
    assert metrics.pseudo_observations_at(code, days, HORIZON_DAYS) == pytest.approx(y)


def test_binary_metrics_equal_scikit_learn():
    risk, code, _, _ = _cohort()
    y = (code == 1).astype(int)
    assert metrics.auc(risk, y).value == pytest.approx(roc_auc_score(y, risk), abs=1e-12)
    assert metrics.brier(risk, y).value == pytest.approx(brier_score_loss(y, risk), abs=1e-12)
    assert metrics.log_loss(risk, y).value == pytest.approx(log_loss(y, risk), abs=1e-12)


def test_harrell_equals_lifelines_where_nothing_competes():
    risk, code, days, _ = _cohort()
    event = (code == 1).astype(int)
    expected = concordance_index(days, -risk, event)
    assert metrics.concordance(risk, event, days).value == pytest.approx(expected, abs=1e-12)


def test_incidence_equals_lifelines():
    _, code, days, _ = _cohort()
    days = days + np.random.default_rng(3).uniform(0, 0.5, len(days))  # lifelines moves tied times at random
    fitted = AalenJohansenFitter(calculate_variance=False).fit(days, code, event_of_interest=1)
    times = [50.0, 365.0, 730.0]
    expected = [fitted.cumulative_density_[:t].iloc[-1, 0] for t in times]
    assert metrics.aalen_johansen(code, days, times).value == pytest.approx(expected, abs=1e-12)
    plain = KaplanMeierFitter().fit(days, code == 1)
    ours = metrics.aalen_johansen((code == 1).astype(int), days, times).value
    assert ours == pytest.approx(1 - plain.predict(times).to_numpy(), abs=1e-12)


def test_the_causes_and_staying_free_add_up_to_one():
    _, code, days, _ = _cohort()
    times = [10.0, 365.0, 1000.0]
    causes = sum(metrics.aalen_johansen(code, days, times, event=k).value for k in (1, 2, 3))
    anything = metrics.aalen_johansen((code > 0).astype(int), days, times).value
    assert causes == pytest.approx(anything, abs=1e-12)
