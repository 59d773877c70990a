"""What a metric returns: a number that knows how far it can be trusted.

Every standard error comes from an influence function: the metric is written as its value plus one small term for each
row (the change of the metric if that row counted a little more), the terms of a cluster (a patient) are added up, and
the standard error is the root of the sum of their squares. The terms are kept in ``Estimate.influence``, so that two
models judged on the same rows can be compared with a paired interval (``contrast``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Clusters = Sequence[Any] | NDArray[Any] | None

Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval ``lo``..``hi`` and standard error ``se``.

    ``influence``: shape (rows,), the share of each row in the sampling error; None where there is none (quantities of
    the smooth calibration curve). ``reason`` says why ``value`` is NaN, and is empty otherwise.
    """

    value: float
    lo: float
    hi: float
    se: float
    influence: Floats | None = field(default=None, repr=False, compare=False)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """The smooth calibration curve: ``observed`` risk (with its pointwise 95 % band) where ``predicted`` was said.

    All shapes (points,), all probabilities.
    """

    predicted: Floats
    observed: Floats
    lo: Floats
    hi: Floats


@dataclass(frozen=True, slots=True)
class Calibration:
    """Agreement of predicted with observed risk, from the mean (weak) to the curve (moderate calibration).

    ``observed``: share with the event (Aalen-Johansen at the horizon under censoring). ``expected``: mean predicted
    risk. ``oe``: their ratio, ideal 1. ``calibration_in_the_large``: intercept on the link scale with the slope fixed
    at one, ideal 0, positive where risks are too low. ``calibration_slope``: ideal 1, below where risks are too
    extreme. ``ici``, ``e50``, ``e90``, ``emax``: mean, median, 90th centile and largest distance of the smooth curve
    from the diagonal over the rows, as risk differences, ideal 0. The link is the logit for a binary outcome and the
    complementary log-log for time to event. It is not a statement about any subgroup (strong calibration).
    """

    observed: Estimate
    expected: Estimate
    oe: Estimate
    calibration_in_the_large: Estimate
    calibration_slope: Estimate
    ici: Estimate
    e50: Estimate
    e90: Estimate
    emax: Estimate
    curve: Curve


@dataclass(frozen=True, slots=True)
class DecisionCurve:
    """Net benefit at each threshold, in the order given; per patient, in units of one true positive.

    Shapes (thresholds,). ``treat_all`` with its own band; treating none is worth ``treat_none`` = 0 everywhere.
    ``value`` is NaN where follow-up of those above the threshold ends before the horizon. ``influence``:
    (thresholds, rows), the share of each row in the sampling error of ``value``.
    """

    thresholds: Floats
    value: Floats
    lo: Floats
    hi: Floats
    se: Floats
    treat_all: Floats
    treat_all_lo: Floats
    treat_all_hi: Floats
    treat_none: Floats
    influence: Floats = field(default_factory=lambda: np.empty((0, 0)), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Incidence:
    """Cumulative incidence at ``times`` (days, in the order given) with a pointwise 95 % band. Shapes (times,)."""

    times: Floats
    value: Floats
    lo: Floats
    hi: Floats
    se: Floats


@dataclass(frozen=True, slots=True)
class RiskDistribution:
    """How predicted risk is spread among those with and without the event (weighted for censoring).

    ``levels`` are the quantile levels; ``event`` and ``no_event`` the quantiles of risk at them, shapes (levels,).
    """

    levels: Floats
    event: Floats
    no_event: Floats
    mean_event: float
    mean_no_event: float


def cluster_codes(cluster: Clusters, rows: int) -> Ints | None:
    """Whole numbers 0..clusters-1 for any kind of identifier; None stays None (each row its own cluster).

    Raises ValueError where the length is not that of the data.
    """
    if cluster is None:
        return None
    labels = np.asarray(cluster)
    if labels.shape != (rows,):
        raise ValueError(f"cluster: expected one identifier for each of the {rows} rows, got shape {labels.shape}")
    if labels.dtype == object:
        labels = labels.astype(str)
    return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)


def by_cluster(influence: Floats, codes: Ints | None) -> Floats:
    """Adds the rows (first axis) of each cluster up."""
    if codes is None:
        return influence
    total = np.zeros((int(codes.max()) + 1, *influence.shape[1:]))
    np.add.at(total, codes, influence)
    return total


def standard_error(influence: Floats, codes: Ints | None) -> float:
    """Root of the summed squares over clusters, with the factor m/(m-1) for m clusters; NaN for a single cluster."""
    total = by_cluster(influence, codes)
    count = len(total)
    if count < 2:
        return float("nan")
    return float(np.sqrt(count / (count - 1) * np.sum(total**2)))


def estimate(
    value: float,
    influence: Floats,
    codes: Ints | None,
    scale: str = "identity",
    limits: tuple[float, float] | None = None,
    size: int | None = None,
) -> Estimate:
    """Value, standard error and interval, the latter symmetric on ``scale``: identity, log, logit or cloglog.

    ``limits`` cut an identity interval to what is possible. A share of exactly 0 or 1 has no finite logit or
    complementary log-log: its interval then comes from Wilson's bound for ``size`` rows (the number of clusters if
    not said).
    """
    error = standard_error(influence, codes)
    if scale in ("logit", "cloglog") and not 0.0 < value < 1.0:
        lo, hi = _wilson(value, size or (len(influence) if codes is None else int(codes.max()) + 1))
    elif scale == "logit":
        lo, hi = _logit_interval(value, error)
    elif scale == "cloglog":
        lo, hi = _cloglog_interval(value, error)
    elif scale == "log":
        factor = float(np.exp(Z95 * error / value)) if value > 0 else float("nan")
        lo, hi = value / factor, value * factor
    else:
        lo, hi = value - Z95 * error, value + Z95 * error
    if limits is not None:
        lo, hi = max(lo, limits[0]), min(hi, limits[1])
    return Estimate(float(value), lo, hi, error, influence)


def undefined(reason: str) -> Estimate:
    """An estimate that does not exist, with the reason."""
    nan = float("nan")
    return Estimate(nan, nan, nan, nan, None, reason)


def contrast(first: Estimate, second: Estimate, cluster: Clusters = None) -> Estimate:
    """``first`` minus ``second``, both on the same rows, with the paired 95 % interval.

    Raises ValueError where either holds no influence or they come from different numbers of rows.
    """
    if first.influence is None or second.influence is None or len(first.influence) != len(second.influence):
        raise ValueError("contrast: both estimates must carry the influence of the same rows")
    codes = cluster_codes(cluster, len(first.influence))
    return estimate(first.value - second.value, first.influence - second.influence, codes)


def _wilson(value: float, size: int) -> tuple[float, float]:
    centre = (value + Z95**2 / (2 * size)) / (1 + Z95**2 / size)
    half = Z95 / (1 + Z95**2 / size) * np.sqrt(value * (1 - value) / size + Z95**2 / (4 * size**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _logit_interval(value: float, error: float) -> tuple[float, float]:
    centre, half = np.log(value / (1 - value)), Z95 * error / (value * (1 - value))
    return float(1 / (1 + np.exp(-(centre - half)))), float(1 / (1 + np.exp(-(centre + half))))


def _cloglog_interval(value: float, error: float) -> tuple[float, float]:
    centre = np.log(-np.log1p(-value))
    half = Z95 * error / ((1 - value) * -np.log1p(-value))
    return float(-np.expm1(-np.exp(centre - half))), float(-np.expm1(-np.exp(centre + half)))
