"""Simulated patients whose true risk is known: the truth must score best, and its calibration must be perfect."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from training import metrics

HORIZON_DAYS = 365.0
ROWS = 20_000
Floats = np.ndarray


class World(NamedTuple):
    """Hazards per day of the event and of the competing one, and whether anybody is lost to follow-up."""

    competing: bool
    censored: bool


WORLDS = [World(c, z) for c in (False, True) for z in (False, True)]
IDS = ["plain", "censored", "competing", "competing, censored"]


def _world(world: World, seed: int = 1, rows: int = ROWS) -> tuple[Floats, Floats, Floats]:
    """True risk by the horizon, event code, days. Exponential times, so the truth has a closed form."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, rows))
    event = 0.25 * np.exp(0.9 * x) / 365
    other = 0.30 * np.exp(0.5 * z + 0.3 * x) / 365 if world.competing else np.zeros(rows)
    days = rng.exponential(1 / (event + other))
    code = 1 + (rng.random(rows) < other / (event + other))
    if world.censored:
        stop = np.minimum(rng.exponential(500.0, rows), 1500.0)
        code, days = np.where(days <= stop, code, 0), np.minimum(days, stop)
    return event / (event + other) * -np.expm1(-(event + other) * HORIZON_DAYS), code, days


def _link(risk: Floats) -> Floats:
    return np.log(-np.log1p(-risk))


def _back(eta: Floats) -> Floats:
    return -np.expm1(-np.exp(eta))


DISTORTIONS: dict[str, Callable[[Floats], Floats]] = {
    "too high": lambda p: _back(_link(p) + 0.4),
    "too low": lambda p: _back(_link(p) - 0.4),
    "too extreme": lambda p: _back(1.6 * _link(p) - 1.6 * _link(p).mean() + _link(p).mean()),
    "too timid": lambda p: _back(0.4 * _link(p) + 0.6 * _link(p).mean()),
    "the mean for all": lambda p: np.full(len(p), p.mean()),
    "noisy": lambda p: _back(_link(p) + np.random.default_rng(7).normal(0, 0.7, len(p))),
    "shuffled": lambda p: np.random.default_rng(8).permutation(p),
    "upside down": lambda p: np.sort(p)[::-1][np.argsort(np.argsort(p))],
    "survival instead of risk": lambda p: 1 - p,
}
CUTS = np.linspace(0.05, 0.60, 23)
RANKING = ["noisy", "shuffled", "upside down", "survival instead of risk", "the mean for all"]
PROPER_AT = {
    "brier": lambda *a: -metrics.brier_at(*a).value,
    "scaled_brier": lambda *a: metrics.scaled_brier_at(*a).value,
    "log_loss": lambda *a: -metrics.log_loss_at(*a).value,
    "ici": lambda *a: -metrics.calibration_at(*a).ici.value,
    "auc": lambda *a: metrics.auc_at(*a).value,
    "concordance": lambda *a: metrics.concordance(*a).value,
    "concordance_uno": lambda *a: metrics.concordance_uno(*a).value,
    "net_benefit": lambda *a: metrics.net_benefit_at(*a, CUTS).value.mean(),
}
PROPER = {
    "brier": lambda *a: -metrics.brier(*a).value,
    "scaled_brier": lambda *a: metrics.scaled_brier(*a).value,
    "log_loss": lambda *a: -metrics.log_loss(*a).value,
    "ici": lambda *a: -metrics.calibration(*a).ici.value,
    "auc": lambda *a: metrics.auc(*a).value,
    "net_benefit": lambda *a: metrics.net_benefit(*a, CUTS).value.mean(),
}
# A distortion that leaves what a metric looks at as it is cannot be told from the truth by it.
BLIND = {
    "ici": {"the mean for all"},
    **{name: set(DISTORTIONS) - set(RANKING) for name in ("auc", "concordance", "concordance_uno")},
}


def _visible(name: str) -> list[str]:
    seen = [kind for kind in DISTORTIONS if kind not in BLIND.get(name, set())]
    assert len(seen) >= 5
    return seen


@pytest.mark.parametrize("world", WORLDS, ids=IDS)
@pytest.mark.parametrize("name", PROPER_AT)
def test_the_true_risk_scores_best_at_a_horizon(name, world):
    truth, code, days = _world(world)
    best = PROPER_AT[name](truth, code, days, HORIZON_DAYS)
    for kind in _visible(name):
        assert best > PROPER_AT[name](DISTORTIONS[kind](truth), code, days, HORIZON_DAYS), kind


@pytest.mark.parametrize("name", PROPER)
def test_the_true_risk_scores_best_for_a_binary_outcome(name):
    truth = _world(WORLDS[0])[0]
    y = (np.random.default_rng(3).random(ROWS) < truth).astype(int)
    best = PROPER[name](truth, y)
    for kind in _visible(name):
        assert best > PROPER[name](DISTORTIONS[kind](truth), y), kind


def _shifted(by: float) -> Callable[[Floats], Floats]:
    return lambda p: _back(_link(p) + by)


def _stretched(by: float) -> Callable[[Floats], Floats]:
    return lambda p: _back(by * _link(p) + (1 - by) * _link(p).mean())


#: A calibration measure looks at one thing, so that it has distortions of its own.
_LEVELS = {f"shifted by {by:+}": _shifted(by) for by in (-0.6, -0.4, -0.2, 0.2, 0.4, 0.6)}
_SPREADS = {f"spread times {by}": _stretched(by) for by in (0.4, 0.6, 0.8, 1.25, 1.6)} | {
    kind: DISTORTIONS[kind] for kind in ("noisy", "shuffled", "upside down")
}
DEPARTURES: dict[str, tuple[Callable[[metrics.Calibration], float], dict[str, Callable[[Floats], Floats]]]] = {
    "oe": (lambda c: abs(np.log(c.oe.value)), _LEVELS),
    "calibration_in_the_large": (lambda c: abs(c.calibration_in_the_large.value), _LEVELS),
    "calibration_slope": (lambda c: abs(c.calibration_slope.value - 1), _SPREADS),
    "e50": (lambda c: c.e50.value, _LEVELS),
    "e90": (lambda c: c.e90.value, _LEVELS | _SPREADS),
    "emax": (lambda c: c.emax.value, {kind: _SPREADS[kind] for kind in [*_SPREADS][4:]} | _LEVELS),
}


@pytest.mark.parametrize("world", WORLDS, ids=IDS)
@pytest.mark.parametrize("name", DEPARTURES)
def test_calibration_departs_least_from_its_ideal_for_the_true_risk(name, world):
    truth, code, days = _world(world)
    departure, distortions = DEPARTURES[name]
    best = departure(metrics.calibration_at(truth, code, days, HORIZON_DAYS, curves=0))
    for kind, distort in distortions.items():
        found = metrics.calibration_at(distort(truth), code, days, HORIZON_DAYS, curves=0)
        assert best < departure(found), kind


@pytest.mark.parametrize("name", DEPARTURES)
def test_calibration_departs_least_from_its_ideal_for_a_binary_outcome(name):
    truth = _world(WORLDS[0])[0]
    y = (np.random.default_rng(3).random(ROWS) < truth).astype(int)
    departure, distortions = DEPARTURES[name]
    assert len(distortions) >= 5
    best = departure(metrics.calibration(truth, y, curves=0))
    for kind, distort in distortions.items():
        assert best < departure(metrics.calibration(distort(truth), y, curves=0)), kind


@pytest.mark.parametrize("world", WORLDS, ids=IDS)
def test_without_curves_the_points_are_the_same_and_the_distances_have_no_interval(world):
    truth, code, days = _world(world, rows=2000)
    full, quick = (metrics.calibration_at(truth, code, days, HORIZON_DAYS, curves=n) for n in (metrics.DRAWS, 0))
    for name in ("oe", "calibration_slope", "ici", "e50", "e90", "emax"):
        assert getattr(quick, name).value == getattr(full, name).value
    assert np.isnan(quick.ici.lo) and not np.isnan(full.ici.lo)
    assert quick.calibration_slope.lo == full.calibration_slope.lo


def _calibrated(found: list[metrics.Calibration]) -> None:
    """Each member is off its ideal by noise alone: a mean z beyond 3.3 standard errors is a fault."""
    for name, ideal in (("oe", 1.0), ("calibration_in_the_large", 0.0), ("calibration_slope", 1.0)):
        members = [getattr(one, name) for one in found]
        z = np.array([(one.value - ideal) / one.se for one in members])
        assert abs(z.mean()) < 3.3 / np.sqrt(len(z)), name
        assert 0.6 < z.std(ddof=1) < 1.5, name
    for name in ("ici", "e50", "e90", "emax"):
        assert np.mean([getattr(one, name).lo == 0.0 for one in found]) >= 0.75, name
    inside = [(one.curve.lo <= one.curve.predicted) & (one.curve.predicted <= one.curve.hi) for one in found]
    assert np.mean(inside) > 0.85


@pytest.mark.parametrize("world", WORLDS, ids=IDS)
def test_the_true_risk_is_perfectly_calibrated(world):
    data = [_world(world, seed=seed, rows=3000) for seed in range(20, 44)]
    _calibrated([metrics.calibration_at(*one, HORIZON_DAYS) for one in data])


def test_the_true_risk_is_perfectly_calibrated_for_a_binary_outcome():
    rng = np.random.default_rng(3)
    data = [_world(WORLDS[0], seed=seed, rows=3000)[0] for seed in range(20, 44)]
    _calibrated([metrics.calibration(truth, (rng.random(len(truth)) < truth).astype(int)) for truth in data])


@pytest.mark.parametrize("world", WORLDS, ids=IDS)
def test_known_miscalibration_is_measured(world):
    """What was done to the risk is read back from its calibration: shift, slope, and the distance itself."""
    truth, code, days = _world(world, seed=5)
    high = DISTORTIONS["too high"](truth)
    found = metrics.calibration_at(high, code, days, HORIZON_DAYS)
    assert found.calibration_in_the_large.value == pytest.approx(-0.4, abs=0.06)
    assert found.oe.value == pytest.approx(truth.mean() / high.mean(), abs=0.03)
    assert found.ici.value == pytest.approx(np.mean(high - truth), abs=0.012)
    assert found.emax.value >= found.e90.value >= found.e50.value
    timid = metrics.calibration_at(DISTORTIONS["too timid"](truth), code, days, HORIZON_DAYS)
    assert timid.calibration_slope.value == pytest.approx(1 / 0.4, abs=0.25)
    extreme = metrics.calibration_at(DISTORTIONS["too extreme"](truth), code, days, HORIZON_DAYS)
    assert extreme.calibration_slope.value == pytest.approx(1 / 1.6, abs=0.06)


@pytest.mark.parametrize("world", WORLDS[2:], ids=IDS[2:])
def test_incidence_is_the_mean_of_the_true_risk_and_one_minus_kaplan_meier_is_not(world):
    truth, code, days = _world(world, seed=6)
    found = metrics.aalen_johansen(code, days, [HORIZON_DAYS])
    assert found.lo[0] < truth.mean() < found.hi[0]
    ignoring_death = metrics.aalen_johansen(np.where(code > 1, 0, code), days, [HORIZON_DAYS])
    assert ignoring_death.lo[0] > truth.mean()


@pytest.mark.parametrize("name", ["brier", "log_loss", "auc", "concordance_uno", "net_benefit"])
def test_censoring_does_not_move_the_weighted_metrics(name):
    """The same patients, a third of them lost early: the answer stays that of complete follow-up."""
    truth, code, days = _world(World(True, False), seed=9, rows=100_000)
    stop = np.random.default_rng(10).exponential(500.0, len(days))
    seen = np.where(days <= stop, code, 0)
    complete = PROPER_AT[name](truth, code, days, HORIZON_DAYS)
    assert PROPER_AT[name](truth, seen, np.minimum(days, stop), HORIZON_DAYS) == pytest.approx(complete, abs=0.006)


def _coverage(world: World, registries: int, rows: int) -> dict[str, float]:
    """Share of registries whose interval holds the value for infinitely many patients."""
    metrics_of = {
        "auc": metrics.auc_at, "brier": metrics.brier_at, "scaled_brier": metrics.scaled_brier_at,
        "log_loss": metrics.log_loss_at, "concordance_uno": metrics.concordance_uno,
        "oe": lambda *a: metrics.calibration_at(*a).oe,
        "slope": lambda *a: metrics.calibration_at(*a).calibration_slope,
        "intercept": lambda *a: metrics.calibration_at(*a).calibration_in_the_large,
        "ici": lambda *a: metrics.calibration_at(*a).ici,
    }  # fmt: skip
    complete = (*_world(World(world.competing, False), 99, 400_000), HORIZON_DAYS)
    target = {name: f(*complete).value for name, f in list(metrics_of.items())[:5]}
    target |= {"oe": 1.0, "slope": 1.0, "intercept": 0.0, "ici": 0.0}
    hits = dict.fromkeys(metrics_of, 0)
    for seed in range(registries):
        data = (*_world(world, 1000 + seed, rows), HORIZON_DAYS)
        for name, function in metrics_of.items():
            found = function(*data)
            hits[name] += found.lo <= target[name] <= found.hi
    return {name: count / registries for name, count in hits.items()}


@pytest.mark.slow
def test_intervals_cover_the_truth():
    """60 registries of 800: a true coverage of 95 % falls below 52 of 60 once in 100 (binomial); below is a fault."""
    for name, share in _coverage(World(True, True), 60, 800).items():
        assert share >= 52 / 60, name


def _rare(events: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """True risk, event code, days of 1,300 patients of whom so many have the event by the horizon, on average."""
    rng = np.random.default_rng(seed)
    risk = 1.0 / (1.0 + np.exp(-rng.normal(0.0, 0.9, 1_300))) ** 2
    risk *= events / risk.sum()
    event = rng.exponential(HORIZON_DAYS / -np.log1p(-risk))
    other, stop = rng.exponential(12 * HORIZON_DAYS, 1_300), rng.uniform(200.0, 900.0, 1_300)
    days = np.minimum(np.minimum(event, other), stop)
    return risk, np.where(event <= days, 1, np.where(other <= days, 2, 0)), days


@pytest.mark.parametrize("events", [25, 35, 60, 110])
def test_few_events_do_not_make_distances_that_no_risk_can_have(events):
    """Mean risk is 2 to 8 %: the distance of a curve from risks like these cannot be half of the scale."""
    for seed in range(8):
        risk, code, days = _rare(events, seed)
        found = metrics.calibration_at(risk, code, days, HORIZON_DAYS, curves=200)
        assert found.ici.lo == 0.0 or found.ici.value > 0.01
        assert found.ici.value <= found.ici.hi < 2.0 * risk.mean()


def test_with_few_events_a_miscalibration_is_still_seen():
    """Risks told three times too high: the mean distance is two thirds of them, and 0 lies outside its interval."""
    for seed in range(8):
        risk, code, days = _rare(35, seed)
        found = metrics.calibration_at(3.0 * risk, code, days, HORIZON_DAYS, curves=200)
        assert 0.0 < found.ici.lo < 2.0 * risk.mean() < found.ici.hi + 0.02
