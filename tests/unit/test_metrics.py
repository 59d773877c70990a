"""What the metrics promise beside their values: names, limits, refusals, and the odd cases."""

from __future__ import annotations

import inspect
import math
import time

import numpy as np
import pytest

from features.errors import TooLittleData
from training import metrics

DAYS = np.array([100.0, 200.0, 300.0, 400.0, 500.0, 600.0])
CODE = np.array([1, 2, 0, 1, 0, 0])
RISK = np.array([0.6, 0.2, 0.3, 0.4, 0.1, 0.2])
AT_HORIZON = [
    metrics.concordance, metrics.concordance_uno, metrics.auc_at, metrics.brier_at, metrics.scaled_brier_at,
    metrics.log_loss_at, metrics.calibration_at,
]  # fmt: skip
BINARY = [metrics.auc, metrics.brier, metrics.scaled_brier, metrics.log_loss, metrics.calibration, metrics.concordance]


def _long(rows: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    risk = rng.uniform(0.05, 0.6, rows)
    event = rng.exponential(365 / -np.log1p(-risk))
    stop = rng.uniform(100, 900, rows)
    return risk, (event <= stop).astype(int), np.minimum(event, stop)


def test_every_exported_name_exists():
    assert all(hasattr(metrics, name) for name in metrics.__all__)
    assert len(set(metrics.__all__)) == len(metrics.__all__)


@pytest.mark.parametrize("function", AT_HORIZON)
def test_positional_signature_of_the_contract(function):
    assert list(inspect.signature(function).parameters)[:4] == ["risk", "event_code", "days", "horizon_days"]
    assert inspect.signature(function).parameters["cluster"].default is None


@pytest.mark.parametrize("function", AT_HORIZON)
def test_horizon_beyond_follow_up_is_refused(function):
    risk, code, days = _long()
    with pytest.raises(TooLittleData, match="horizon_days"):
        function(risk, code, days, 5000.0)
    with pytest.raises(TooLittleData, match="horizon_days"):
        metrics.net_benefit_at(risk, code, days, 5000.0, [0.1])
    with pytest.raises(TooLittleData, match="horizon_days"):
        metrics.aalen_johansen(code, days, [365, 5000])


def test_horizon_beyond_the_last_day_is_fine_when_nobody_is_left():
    """Everybody's state is then known for ever: nothing is extrapolated."""
    code, days = np.array([1, 2, 1, 2]), np.array([10.0, 20.0, 30.0, 40.0])
    assert metrics.aalen_johansen(code, days, [1000]).value == pytest.approx([0.5])
    assert metrics.brier_at([0.9, 0.1, 0.9, 0.1], code, days, 1000).value == pytest.approx(0.01)


def test_the_day_of_the_horizon_counts():
    assert metrics.aalen_johansen([1, 0, 0, 0], [365, 400, 400, 400], [364.9, 365]).value == pytest.approx([0, 0.25])


def test_censored_on_the_day_of_the_horizon_is_event_free_on_it():
    everyone = metrics.brier_at([0.5, 0.5, 0.25], [1, 0, 0], [100, 365, 365], 365)
    assert everyone.value == pytest.approx((0.25 + 0.25 + 0.0625) / 3)


@pytest.mark.parametrize("function", BINARY)
def test_wrong_input_is_named_and_never_echoed(function):
    with pytest.raises(ValueError, match=r"y: expected one outcome"):
        function([0.1, 0.2], [0, 1, 1])
    with pytest.raises(ValueError, match="y: expected 0 or 1"):
        function([0.123, 0.2], [0, 7])
    with pytest.raises(ValueError, match="risk") as caught:
        function([0.123, float("nan")], [0, 1])
    assert "0.123" not in str(caught.value)


@pytest.mark.parametrize("function", [metrics.brier, metrics.log_loss, metrics.scaled_brier, metrics.calibration])
def test_scores_are_not_probabilities(function):
    with pytest.raises(ValueError, match="probabilities from 0 to 1"):
        function([1.2, 0.2], [0, 1])
    assert metrics.auc([1.2, 0.2], [1, 0]).value == 1.0


@pytest.mark.parametrize("function", AT_HORIZON)
def test_wrong_survival_input(function):
    with pytest.raises(ValueError, match="event_code"):
        function(RISK, np.array([1, 2, -1, 0, 0, 0]), DAYS, 300)
    with pytest.raises(ValueError, match="days"):
        function(RISK, CODE, np.append(DAYS[:-1], np.nan), 300)
    with pytest.raises(ValueError, match="days"):
        function(RISK, CODE, DAYS[:-1], 300)
    with pytest.raises(ValueError, match="cluster"):
        function(RISK, CODE, DAYS, 450, cluster=["a"])


@pytest.mark.parametrize("function", [metrics.auc, metrics.scaled_brier, metrics.calibration, metrics.summary])
@pytest.mark.parametrize("y", [0, 1])
def test_single_class_is_too_little_data(function, y):
    with pytest.raises(TooLittleData):
        function([0.2, 0.3, 0.4], [y] * 3)


NEEDS_BOTH_CLASSES = [metrics.auc_at, metrics.scaled_brier_at, metrics.calibration_at, metrics.summary_at]


@pytest.mark.parametrize("function", NEEDS_BOTH_CLASSES)
def test_no_event_by_the_horizon_is_too_little_data(function):
    with pytest.raises(TooLittleData):
        function(RISK, np.where(CODE == 1, 0, CODE), DAYS, 300)


def test_concordance_without_a_comparable_pair():
    with pytest.raises(TooLittleData):
        metrics.concordance([0.1, 0.2], [0, 0], [10, 20])
    with pytest.raises(TooLittleData):
        metrics.concordance_uno([0.1, 0.2], [0, 1], [10, 20])


def test_concordance_without_days_is_the_binary_one():
    y = (CODE == 1).astype(int)
    assert metrics.concordance(RISK, y) == metrics.auc(RISK, y)


def test_equal_risks():
    risk, code, days = _long()
    same = np.full(len(risk), 0.3)
    assert metrics.concordance(same, code, days).value == 0.5
    assert metrics.auc_at(same, code, days, 365).value == pytest.approx(0.5, abs=1e-12)
    found = metrics.calibration_at(same, code, days, 365)
    assert math.isnan(found.calibration_slope.value) and "equal" in found.calibration_slope.reason
    assert found.ici.value == pytest.approx(abs(found.observed.value - 0.3), abs=1e-4)
    assert np.isnan(metrics.summary_at(same, code, days, 365, "m12")["calibration_slope_m12_lo"])
    y = (np.arange(100) < 40).astype(int)
    binary = metrics.calibration(np.full(100, 0.4), y)
    assert binary.ici.value == pytest.approx(0, abs=1e-12) and math.isnan(binary.calibration_slope.value)


def test_perfect_separation():
    risk, y = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])
    assert metrics.auc(risk, y).value == 1.0 and metrics.auc(risk, y).lo < 0.5
    slope = metrics.calibration(risk, y).calibration_slope
    assert math.isnan(slope.value) and slope.reason


def test_risks_of_exactly_zero_and_one():
    y = np.array([0, 1, 0, 1, 0, 1, 1, 0])
    risk = np.array([0.0, 1.0, 0.4, 0.6, 1.0, 0.3, 0.8, 0.2])
    assert metrics.log_loss([0.0, 1.0], [0, 1]).value == pytest.approx(0, abs=1e-12)
    assert metrics.log_loss([1.0], [0]).value == pytest.approx(-math.log(np.finfo(float).eps))
    assert all(np.isfinite(list(metrics.summary(risk, y).values())))
    assert metrics.brier([0.0, 1.0], [1, 0]).value == 1.0


def test_net_benefit_of_extreme_policies():
    risk, code, days = _long()
    y = (np.random.default_rng(2).random(400) < risk).astype(int)
    curve = metrics.net_benefit(risk, y, [0.3, 0.01, 0.99])
    assert curve.value[1] == pytest.approx(curve.treat_all[1]) and curve.value[2] == 0.0 == curve.se[2]
    assert curve.treat_all[0] == pytest.approx(y.mean() - (1 - y.mean()) * 0.3 / 0.7)
    survival = metrics.net_benefit_at(risk, code, days, 365, [0.01, 0.99])
    assert survival.value[0] == pytest.approx(survival.treat_all[0]) and survival.value[1] == 0.0
    with pytest.raises(ValueError, match="thresholds"):
        metrics.net_benefit(risk, y, [0.0])


def test_net_benefit_is_unknown_where_nobody_above_the_threshold_was_followed_long_enough():
    risk = np.append(RISK, 0.9)
    curve = metrics.net_benefit_at(risk, np.append(CODE, 0), np.append(DAYS, 50.0), 450, [0.1, 0.8])
    assert np.isfinite(curve.value[0]) and np.isnan(curve.value[1])


def test_summary_has_the_names_of_the_contract():
    risk, code, days = _long()
    names = "auc concordance calibration_in_the_large calibration_slope ici e90 brier scaled_brier log_loss oe"
    names += " net_benefit_10 net_benefit_20 net_benefit_30"
    at, binary = metrics.summary_at(risk, code, days, 365, "m12"), metrics.summary(risk, code)
    for name in names.split():
        for ending in ("", "_lo", "_hi"):
            assert f"{name}_m12{ending}" in at and f"{name}{ending}" in binary
        assert at[f"{name}_m12_lo"] <= at[f"{name}_m12"] <= at[f"{name}_m12_hi"]
    assert metrics.summary_at(risk, code, days, 365, "_m12") == at
    assert at["calibration_slope_m12"] == metrics.calibration_at(risk, code, days, 365).calibration_slope.value


def test_clusters_may_be_names_numbers_or_both():
    risk, code, days = _long()
    numbers = np.repeat(np.arange(200), 2)
    names = np.array([f"p{n}" for n in numbers], dtype=object)
    one, two = (metrics.brier_at(risk, code, days, 365, cluster=c) for c in (numbers, names))
    assert one.se == pytest.approx(two.se) and one.se != metrics.brier_at(risk, code, days, 365).se


def test_risk_distribution_weights_for_censoring():
    risk, code, days = _long(4000)
    found = metrics.risk_distribution_at(risk, code, days, 365)
    assert found.mean_event > found.mean_no_event and (np.diff(found.event) > 0).all()
    share = metrics.aalen_johansen(code, days, [365]).value[0]
    mixed = share * found.mean_event + (1 - share) * found.mean_no_event
    assert mixed == pytest.approx(risk.mean(), abs=0.01)
    y = (risk > 0.3).astype(int)
    assert metrics.risk_distribution(risk, y).event[0] > metrics.risk_distribution(risk, y).no_event[-1]


def test_contrast_needs_the_same_rows():
    first = metrics.brier([0.1, 0.2, 0.7], [0, 0, 1])
    with pytest.raises(ValueError, match="same rows"):
        metrics.contrast(first, metrics.brier([0.1, 0.2], [0, 1]))
    assert metrics.contrast(first, first).value == 0.0 == metrics.contrast(first, first, [1, 1, 2]).se


def test_large_samples_need_no_square_of_memory():
    rng = np.random.default_rng(1)
    risk, days, code = rng.random(60_000), rng.exponential(500, 60_000), rng.integers(0, 3, 60_000)
    started = time.perf_counter()
    value = metrics.concordance_uno(risk, code, days, 365).value
    assert value == pytest.approx(0.5, abs=0.02)
    assert time.perf_counter() - started < 10  # all pairs would be 3.6e9
