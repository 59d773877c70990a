"""Calibration of predicted risk: in the large, slope, and the smooth curve with its distances from the diagonal.

The curve is a regression of the outcome on a restricted cubic spline of the linked risk (logistic for a binary
outcome, complementary log-log on pseudo-observations for time to event), with 4 knots; with 3, then as a straight line,
the fewer rows the smaller class has, or where risks are too few to hold a spline. docs/statistics.md has the reasons
and references.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from features.errors import TooLittleData
from training.metrics import checks
from training.metrics.censoring import FollowUp, pseudo_observations, weighted_mean
from training.metrics.smoothing import CLOGLOG, LOGIT, Fit, Link, fit, spline, spline_knots
from training.metrics.types import (
    Z95,
    Calibration,
    Clusters,
    Curve,
    Estimate,
    Floats,
    Ints,
    by_cluster,
    cluster_codes,
    estimate,
    undefined,
)

# A risk of exactly 0 or 1 has no link: it enters the regressions (not O/E) as this, so that it keeps a finite weight.
SMALLEST_LINKED_RISK = 1e-6
SMALLEST_MEAN_RISK = 1e-12
DRAWS = 1000
POINTS = 257
#: From how many rows of the smaller class on the curve has 3 and 4 knots. Pseudo-observations vary as much where the
#: risk is small as elsewhere, so that few events leave the ends of their spline open to anything between 0 and 1.
ENOUGH_FOR_KNOTS = {LOGIT.name: (20, 40), CLOGLOG.name: (40, 100)}
Distances = tuple[Estimate, Estimate, Estimate, Estimate]
CONSTANT = "all predicted risks are equal"


def calibration(risk: ArrayLike, y: ArrayLike, cluster: Clusters = None, *, curves: int = DRAWS) -> Calibration:
    """Calibration for a binary outcome, on the logit scale; see Calibration for its members.

    ``curves``: how many are drawn for the intervals of the distances; with 0 these are NaN, in a third of the time.
    Raises TooLittleData for a single class. A slope that cannot be estimated is NaN with its reason.
    """
    values = checks.risks(risk)
    truth = checks.outcome(y, len(values))
    checks.both_classes(truth, "calibration")
    codes = cluster_codes(cluster, len(values))
    share = float(truth.mean())
    observed = estimate(share, (truth - share) / len(truth), codes, "logit")
    smaller = int(min(truth.sum(), (1 - truth).sum()))
    return _calibration(_Task(values, truth, LOGIT, codes, smaller, curves), observed)


def calibration_at(
    risk: ArrayLike,
    event_code: ArrayLike,
    days: ArrayLike,
    horizon_days: float,
    cluster: Clusters = None,
    *,
    curves: int = DRAWS,
) -> Calibration:
    """Calibration of the risk of event 1 by the horizon with competing events, on the complementary log-log scale.

    Observed is the Aalen-Johansen incidence; slope, intercept and curve come from pseudo-observations (Andersen 2003,
    van Geloven 2022), whose treatment as independent makes the intervals slightly too wide. Raises TooLittleData
    beyond follow-up and where nobody is known to have, or not to have, the event by the horizon.
    """
    values = checks.risks(risk)
    checks.times(days, len(values))
    follow_up = FollowUp.of(event_code, days)
    state = follow_up.at(float(horizon_days))
    codes = cluster_codes(cluster, len(values))
    smaller = int(min(state.case.sum(), (state.known & ~state.case).sum()))
    if smaller == 0:
        raise TooLittleData("calibration_at needs rows known to have the event by the horizon and rows known not to")
    observed = estimate(*weighted_mean(follow_up, state, state.case.astype(np.float64)), codes, "cloglog")
    task = _Task(values, pseudo_observations(follow_up, float(horizon_days)), CLOGLOG, codes, smaller, curves)
    return _calibration(task, observed)


class _Task(NamedTuple):
    """Risks, what was observed (0/1 or pseudo-observations), the link, clusters, rows of the smaller class, and how
    many curves are drawn for intervals.
    """

    risk: Floats
    response: Floats
    link: Link
    codes: Ints | None
    smaller: int
    curves: int


def _calibration(task: _Task, observed: Estimate) -> Calibration:
    mean = float(task.risk.mean())
    expected = estimate(mean, (task.risk - mean) / len(task.risk), task.codes, limits=(0.0, 1.0))
    predictor = _linked(task)
    large = _in_the_large(task, predictor)
    slope = _slope(task, predictor, large.value)
    curve, distances = _smooth(task, predictor, large.value)
    return Calibration(observed, expected, _ratio(observed, expected, task.codes), large, slope, *distances, curve)


def _linked(task: _Task) -> Floats:
    return task.link.predictor(np.clip(task.risk, SMALLEST_LINKED_RISK, 1.0 - SMALLEST_LINKED_RISK))


def _ratio(observed: Estimate, expected: Estimate, codes: Ints | None) -> Estimate:
    if expected.value < SMALLEST_MEAN_RISK:
        return undefined("all predicted risks are practically zero")
    assert observed.influence is not None and expected.influence is not None
    ratio = observed.value / expected.value
    return estimate(ratio, (observed.influence - ratio * expected.influence) / expected.value, codes, "log")


def _in_the_large(task: _Task, predictor: Floats) -> Estimate:
    result = fit(np.ones((len(predictor), 1)), task.response, predictor, task.link, np.zeros(1))
    return _coefficient(result, 0, task.codes)


def _slope(task: _Task, predictor: Floats, intercept: float) -> Estimate:
    if np.ptp(predictor) == 0.0:
        return undefined(CONSTANT)
    columns = np.column_stack((np.ones_like(predictor), predictor))
    start = np.array([intercept if np.isfinite(intercept) else 0.0, 1.0])
    return _coefficient(fit(columns, task.response, np.zeros_like(predictor), task.link, start), 1, task.codes)


def _coefficient(result: Fit, which: int, codes: Ints | None) -> Estimate:
    if result.reason:
        return undefined(result.reason)
    return estimate(float(result.coefficients[which]), result.influence[:, which], codes)


def _basis(task: _Task, predictor: Floats) -> Floats:
    """Knots for the curve, or none for a straight line."""
    three, four = ENOUGH_FOR_KNOTS[task.link.name]
    if task.smaller < three or len(np.unique(predictor)) < 6:
        return np.empty(0)
    return spline_knots(predictor, 4 if task.smaller >= four else 3)


def _columns(predictor: Floats, knots: Floats, constant: bool) -> Floats:
    return np.ones((len(predictor), 1)) if constant else spline(predictor, knots)


def _smooth(task: _Task, predictor: Floats, intercept: float) -> tuple[Curve, Distances]:
    """The curve and ICI, E50, E90, Emax; if a spline cannot be fitted, a straight line is."""
    constant = bool(np.ptp(predictor) == 0.0)
    for knots in (_basis(task, predictor), np.empty(0)):
        columns = _columns(predictor, knots, constant)
        start = np.zeros(columns.shape[1])
        start[:2] = ([0.0, 1.0] if not constant else [predictor[0]])[: len(start)]
        start[0] += intercept if np.isfinite(intercept) else 0.0
        result = fit(columns, task.response, np.zeros_like(predictor), task.link, start)
        if not result.reason:
            return _curve(task, result, knots, constant), _distances(task, result, columns, knots, constant)
    nothing = np.full(1, np.nan)
    return Curve(nothing, nothing, nothing, nothing), (undefined(result.reason),) * 4


def _curve(task: _Task, result: Fit, knots: Floats, constant: bool) -> Curve:
    lowest, highest = float(task.risk.min()), float(task.risk.max())
    predicted = np.linspace(lowest, highest, 1 if constant else 101)
    columns = _columns(_linked(task._replace(risk=predicted)), knots, constant)
    eta, root = columns @ result.coefficients, _root_covariance(result, task.codes)
    half = Z95 * np.sqrt(np.sum((columns @ root) ** 2, axis=1))
    mean = task.link.mean
    return Curve(predicted, mean(eta), mean(eta - half), mean(eta + half))


def _distances(task: _Task, result: Fit, columns: Floats, knots: Floats, constant: bool) -> Distances:
    """Point values over all rows; intervals over draws of the curve from its sampling distribution."""
    apart = np.abs(task.link.mean(columns @ result.coefficients) - task.risk)
    values = (apart.mean(), np.quantile(apart, 0.5), np.quantile(apart, 0.9), apart.max())
    if not task.curves:
        nan = float("nan")
        ici, half, high, most = (Estimate(float(value), nan, nan, nan) for value in values)
        return ici, half, high, most
    places = np.quantile(task.risk, np.linspace(0.0, 1.0, POINTS))
    base = _columns(_linked(task._replace(risk=places)), knots, constant)
    root = _root_covariance(result, task.codes)
    normal = np.random.default_rng(20_220_531).standard_normal((root.shape[1], task.curves))
    here = base @ result.coefficients
    drawn = task.link.mean(here[:, None] + base @ (root @ normal))
    moved = _summaries(np.abs(drawn - task.link.mean(here)[:, None]))
    found = _summaries(np.abs(drawn - places[:, None]))
    ici, half, high, most = (_distance(float(v), f, m) for v, f, m in zip(values, found, moved, strict=True))
    return ici, half, high, most


def _summaries(distance: Floats) -> tuple[Floats, ...]:
    """Mean, median, 90th centile and maximum over the first axis."""
    halfway, high = np.quantile(distance, (0.5, 0.9), axis=0)
    return distance.mean(axis=0), halfway, high, distance.max(axis=0)


def _distance(value: float, found: Floats, moved: Floats) -> Estimate:
    """Interval of a distance, which is biased upwards by noise, and more so in the draws.

    ``hi`` is the 97.5th centile of the draws (too wide, if anything), ``lo`` its mirror image. Where perfect
    calibration is not rejected at 5 % (the curve moves as far from itself by noise alone) ``lo`` is 0.
    """
    high = max(value, float(np.quantile(found, 0.975)))
    rejected = value > float(np.quantile(moved, 0.95))
    low = max(0.0, 2.0 * value - high) if rejected else 0.0
    return Estimate(value, low, min(1.0, high), float(found.std(ddof=1)))


def _root_covariance(result: Fit, codes: Ints | None) -> Floats:
    """A matrix whose product with its transpose is the (cluster-robust) covariance of the coefficients, (p, p)."""
    total = by_cluster(result.influence, codes)
    count = len(total)
    covariance = total.T @ total * (count / (count - 1) if count > 1 else np.nan)
    if not np.isfinite(covariance).all():
        return np.full(covariance.shape, np.nan)
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)), dtype=np.float64)
