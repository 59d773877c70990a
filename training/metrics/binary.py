"""Discrimination and overall accuracy of predicted risk for a binary outcome.

``risk``: probability of y = 1, shape (rows,); ``y``: 0 or 1; ``cluster``: identifier of the patient of each row, or
None where each row is its own. Formulas and references: docs/statistics.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from training.metrics import checks
from training.metrics.pairs import two_groups
from training.metrics.types import Clusters, Estimate, Floats, Ints, RiskDistribution, cluster_codes, estimate

# Logarithm of a risk of exactly 0 or 1: taken as this close to it, as scikit-learn does, so that one such row costs 36.
SMALLEST_RISK = float(np.finfo(np.float64).eps)


def auc(risk: ArrayLike, y: ArrayLike, cluster: Clusters = None) -> Estimate:
    """Chance that a row with the event has a higher risk than one without it, ties half.

    Interval: DeLong 1988 (with ``cluster`` Obuchowski 1997), symmetric on the logit scale; where the classes are
    separated completely, Wilson's bound for the smaller class. All risks equal: 0.5 with standard error 0. It says
    nothing about calibration. Raises TooLittleData for a single class.
    """
    values = checks.scores(risk)
    truth = checks.outcome(y, len(values))
    checks.both_classes(truth, "auc")
    value, influence = weighted_auc(values, truth, 1.0 - truth)
    smaller = int(min(truth.sum(), (1 - truth).sum()))
    return estimate(value, influence, cluster_codes(cluster, len(values)), "logit", size=smaller)


def weighted_auc(risk: Floats, cases: Floats, controls: Floats) -> tuple[float, Floats]:
    """AUC of weighted cases and controls, and its influence, shape (n,)."""
    sums = two_groups(risk, cases, controls)
    in_cases, in_controls = cases / cases.sum(), controls / controls.sum()
    below, above = sums.for_first / controls.sum(), sums.for_second / cases.sum()
    value = float(in_cases @ below)
    return value, in_cases * (below - value) + in_controls * (above - value)


def brier(risk: ArrayLike, y: ArrayLike, cluster: Clusters = None) -> Estimate:
    """Mean squared difference of risk and outcome; 0 best. Proper: the true risk has the lowest expectation."""
    values = checks.risks(risk)
    return _mean_loss((values - checks.outcome(y, len(values))) ** 2, cluster, (0.0, 1.0))


def scaled_brier(risk: ArrayLike, y: ArrayLike, cluster: Clusters = None) -> Estimate:
    """1 - Brier / Brier of giving everyone the observed share: 0 for no gain, 1 best, negative if worse than that.

    Also called the index of prediction accuracy. Raises TooLittleData for a single class.
    """
    values = checks.risks(risk)
    truth = checks.outcome(y, len(values))
    checks.both_classes(truth, "scaled_brier")
    loss, share, rows = (values - truth) ** 2, float(truth.mean()), len(truth)
    score, influence = scale_loss(float(loss.mean()), (loss - loss.mean()) / rows, share, (truth - share) / rows)
    return estimate(score, influence, cluster_codes(cluster, rows), limits=(-np.inf, 1.0))


def scale_loss(loss: float, loss_influence: Floats, share: float, share_influence: Floats) -> tuple[float, Floats]:
    """1 - loss / (share (1 - share)) and its influence, from those of the loss and of the share with the event."""
    null = share * (1.0 - share)
    null_influence = (1.0 - 2.0 * share) * share_influence
    return 1.0 - loss / null, -(loss_influence - loss / null * null_influence) / null


def log_loss(risk: ArrayLike, y: ArrayLike, cluster: Clusters = None) -> Estimate:
    """Mean of minus the log-likelihood (natural logarithm); 0 best. A risk of exactly 0 or 1 counts as 2.2e-16 off."""
    values = checks.risks(risk)
    return _mean_loss(log_loss_of(values, checks.outcome(y, len(values))), cluster, (0.0, np.inf))


def log_loss_of(risk: Floats, y: Floats) -> Floats:
    """Log loss of each row, shape (n,)."""
    kept = np.clip(risk, SMALLEST_RISK, 1.0 - SMALLEST_RISK)
    return np.asarray(-np.where(y > 0, np.log(kept), np.log1p(-kept)), dtype=np.float64)


def risk_distribution(risk: ArrayLike, y: ArrayLike) -> RiskDistribution:
    """How risk is spread among rows with and without the event; raises TooLittleData for a single class."""
    values = checks.risks(risk)
    truth = checks.outcome(y, len(values))
    checks.both_classes(truth, "risk_distribution")
    return weighted_distribution(values, truth, 1.0 - truth)


def weighted_distribution(risk: Floats, cases: Floats, controls: Floats) -> RiskDistribution:
    """The same for weighted cases and controls."""
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    event, no_event = (_weighted_quantiles(risk, weight, levels) for weight in (cases, controls))
    means = (float(np.average(risk, weights=weight)) for weight in (cases, controls))
    return RiskDistribution(levels, event, no_event, *means)


def _weighted_quantiles(values: Floats, weights: Floats, levels: Floats) -> Floats:
    order: Ints = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    place = np.minimum(np.searchsorted(share, levels - 1e-12), len(values) - 1)
    return np.asarray(values[order][place], dtype=np.float64)


def _mean_loss(loss: Floats, cluster: Clusters, limits: tuple[float, float]) -> Estimate:
    mean = float(loss.mean())
    return estimate(mean, (loss - mean) / len(loss), cluster_codes(cluster, len(loss)), limits=limits)
