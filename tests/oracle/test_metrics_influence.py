"""Values and standard errors against the definitions themselves: sums over all pairs, and leaving each row out."""

from __future__ import annotations

import numpy as np
import pytest

from training import metrics

HORIZON_DAYS = 365.0
SURVIVAL = {
    "concordance": metrics.concordance,
    "concordance_uno": metrics.concordance_uno,
    "auc": metrics.auc_at,
    "brier": metrics.brier_at,
    "scaled_brier": metrics.scaled_brier_at,
    "log_loss": metrics.log_loss_at,
    "oe": lambda *a: metrics.calibration_at(*a).oe,
    "net_benefit": lambda *a: _first(metrics.net_benefit_at(*a, [0.2])),
    "incidence": lambda _r, e, d, h: _first(metrics.aalen_johansen(e, d, [h])),
}
BINARY = {
    "auc": metrics.auc,
    "brier": metrics.brier,
    "scaled_brier": metrics.scaled_brier,
    "log_loss": metrics.log_loss,
    "oe": lambda *a: metrics.calibration(*a).oe,
    "intercept": lambda *a: metrics.calibration(*a).calibration_in_the_large,
    "slope": lambda *a: metrics.calibration(*a).calibration_slope,
    "net_benefit": lambda *a: _first(metrics.net_benefit(*a, [0.2])),
}


def _first(curve: metrics.DecisionCurve | metrics.Incidence) -> metrics.Estimate:
    return metrics.Estimate(*(float(part[0]) for part in (curve.value, curve.lo, curve.hi, curve.se)))


def _cohort(rows: int, seed: int, coarse: bool = True) -> tuple[np.ndarray, ...]:
    """Risk, code, days with censoring, a competing event, and (if coarse) many ties in time and risk."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    event, other = 0.5 * np.exp(0.8 * x) / 365, 0.3 * np.exp(0.4 * x) / 365
    time = rng.exponential(1 / (event + other))
    kind = 1 + (rng.random(rows) < other / (event + other))
    stop = rng.exponential(700.0, rows)
    days, code = np.minimum(time, stop), np.where(time <= stop, kind, 0)
    risk = event / (event + other) * -np.expm1(-(event + other) * HORIZON_DAYS)
    if coarse:
        days, risk = np.ceil(days / 30) * 30, np.round(risk, 2)
    return risk, code, days


def _jackknife(function, columns: tuple[np.ndarray, ...], *rest: float) -> float:
    rows = len(columns[0])
    without = [function(*(np.delete(c, i) for c in columns), *rest).value for i in range(rows)]
    return float(np.sqrt((rows - 1) / rows * np.sum((np.array(without) - np.mean(without)) ** 2)))


@pytest.mark.parametrize("name", SURVIVAL)
@pytest.mark.parametrize("coarse", [True, False])
def test_survival_standard_errors_equal_the_jackknife(name, coarse):
    risk, code, days = _cohort(160, 3, coarse)
    found = SURVIVAL[name](risk, code, days, HORIZON_DAYS).se
    assert found == pytest.approx(_jackknife(SURVIVAL[name], (risk, code, days), HORIZON_DAYS), rel=0.05)


@pytest.mark.parametrize("name", BINARY)
def test_binary_standard_errors_equal_the_jackknife(name):
    risk, _, _ = _cohort(160, 4)
    y = (np.random.default_rng(5).random(160) < risk).astype(float)
    assert BINARY[name](risk, y).se == pytest.approx(_jackknife(BINARY[name], (risk, y)), rel=0.05)


def _plain_concordance(risk, code, days, horizon):
    """The definition itself, pair by pair."""
    won = pairs = 0.0
    for i in np.flatnonzero((code == 1) & (days <= horizon)):
        for j in range(len(risk)):
            if code[j] > 1 or days[j] > days[i] or (days[j] == days[i] and code[j] == 0):
                pairs += 1
                won += (risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j])
    return won / pairs


def _survival_before(moment, code, days):
    """G just before ``moment``: the chance of not being censored, events first among ties."""
    left = 1.0
    for u in np.unique(days[(days < moment) & (code == 0)]):
        exposed = np.sum(days > u) + np.sum((days == u) & (code == 0))
        left *= 1 - np.sum((days == u) & (code == 0)) / exposed
    return left


def _plain_uno(risk, code, days, horizon):
    won = pairs = 0.0
    free = np.array([_survival_before(moment, code, days) for moment in days])
    for i in np.flatnonzero((code == 1) & (days <= horizon)):
        for j in range(len(risk)):
            if days[j] > days[i] or (days[j] == days[i] and code[j] == 0):
                weight = free[i] ** -2
            elif code[j] > 1:
                weight = 1 / (free[i] * free[j])
            else:
                continue
            pairs += weight
            won += weight * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
    return won / pairs


@pytest.mark.parametrize("coarse", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_concordance_in_n_log_n_equals_the_sum_over_pairs(seed, coarse):
    risk, code, days = _cohort(120, seed, coarse)
    assert metrics.concordance(risk, code, days, HORIZON_DAYS).value == pytest.approx(
        _plain_concordance(risk, code, days, HORIZON_DAYS), abs=1e-12
    )
    assert metrics.concordance_uno(risk, code, days, HORIZON_DAYS).value == pytest.approx(
        _plain_uno(risk, code, days, HORIZON_DAYS), abs=1e-12
    )


@pytest.mark.parametrize("coarse", [True, False])
def test_auc_at_equals_the_weighted_sum_over_pairs(coarse):
    risk, code, days = _cohort(150, 8, coarse)
    case = (code == 1) & (days <= HORIZON_DAYS)
    known = ((code > 0) & (days <= HORIZON_DAYS)) | (days > HORIZON_DAYS)
    weight = np.array([1 / _survival_before(min(d, HORIZON_DAYS), code, days) for d in days]) * known
    pairs = np.outer(weight * case, weight * ~case)
    won = (risk[:, None] > risk) + 0.5 * (risk[:, None] == risk)
    expected = (pairs * won).sum() / pairs.sum()
    assert metrics.auc_at(risk, code, days, HORIZON_DAYS).value == pytest.approx(expected, abs=1e-12)
    assert weight.sum() == pytest.approx(len(risk))


def test_clusters_of_identical_rows_have_the_error_of_one_row_each():
    risk, code, days = _cohort(200, 9)
    patient = np.repeat(np.arange(200), 3)
    tripled = [np.repeat(column, 3) for column in (risk, code, days)]
    for name, function in SURVIVAL.items():
        if name in ("oe", "net_benefit", "incidence"):
            continue
        once = function(risk, code, days, HORIZON_DAYS)
        thrice = function(*tripled, HORIZON_DAYS, cluster=patient)
        assert (thrice.value, thrice.se) == pytest.approx((once.value, once.se), rel=1e-9), name
        assert function(*tripled, HORIZON_DAYS).se < 0.6 * once.se


def test_contrast_is_the_paired_difference():
    risk, code, days = _cohort(300, 10)
    other = np.clip(risk + np.random.default_rng(1).normal(0, 0.1, 300), 0, 1)
    first, second = (metrics.brier_at(one, code, days, HORIZON_DAYS) for one in (risk, other))
    paired = metrics.contrast(first, second)
    columns = (risk, other, code, days)

    def difference(a, b, c, d, h):
        value = metrics.brier_at(a, c, d, h).value - metrics.brier_at(b, c, d, h).value
        return metrics.Estimate(value, 0, 0, 0)

    assert paired.se == pytest.approx(_jackknife(difference, columns, HORIZON_DAYS), rel=0.05)
    assert paired.se < np.hypot(first.se, second.se)
