"""Net benefit of treating those at or above a threshold of risk (Vickers and Elkin 2006).

Net benefit = true positives - false positives * odds(threshold), each as a share of all patients. With censoring the
share of true positives is the share above the threshold times their Aalen-Johansen incidence (Vickers 2008), so that
censoring may depend on which side of the threshold one is.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from features.errors import TooLittleData
from training.metrics import checks
from training.metrics.censoring import FollowUp, weighted_mean
from training.metrics.types import Z95, Bools, Clusters, DecisionCurve, Floats, cluster_codes, standard_error


def net_benefit(risk: ArrayLike, y: ArrayLike, thresholds: Iterable[float], cluster: Clusters = None) -> DecisionCurve:
    """Net benefit for a binary outcome at ``thresholds`` in any order, each above 0 and below 1."""
    values = checks.risks(risk)
    truth = checks.outcome(y, len(values))
    share = float(truth.mean())
    return _decide(values, truth / len(truth), (share, (truth - share) / len(truth)), thresholds, cluster)


def net_benefit_at(
    risk: ArrayLike,
    event_code: ArrayLike,
    days: ArrayLike,
    horizon_days: float,
    thresholds: Iterable[float],
    cluster: Clusters = None,
) -> DecisionCurve:
    """Net benefit for the event by the horizon with competing events, at ``thresholds`` in any order.

    NaN at a threshold above which nobody was followed to the horizon; raises TooLittleData where nobody at all was.
    """
    values = checks.risks(risk)
    checks.times(days, len(values))
    follow_up = FollowUp.of(event_code, days)
    everyone = _incidence(follow_up, float(horizon_days))
    return _decide(values, (follow_up, float(horizon_days)), everyone, thresholds, cluster)


def _decide(
    risk: Floats,
    truth: Floats | tuple[FollowUp, float],
    everyone: tuple[float, Floats],
    thresholds: Iterable[float],
    cluster: Clusters,
) -> DecisionCurve:
    cuts = _thresholds(thresholds)
    codes = cluster_codes(cluster, len(risk))
    odds = cuts / (1.0 - cuts)
    rows = [_benefit(_positives(risk >= cut, truth), cost) for cut, cost in zip(cuts, odds, strict=True)]
    all_rows = [_benefit((1.0, np.full(len(risk), 1.0 / len(risk)), *everyone), cost) for cost in odds]
    value, error = np.array([(one, standard_error(noise, codes)) for one, noise in rows]).reshape(-1, 2).T
    treat_all, all_error = np.array([(one, standard_error(noise, codes)) for one, noise in all_rows]).reshape(-1, 2).T
    band, all_band = Z95 * error, Z95 * all_error
    return DecisionCurve(
        cuts, value, value - band, value + band, error,
        treat_all, treat_all - all_band, treat_all + all_band, np.zeros(len(cuts)),
        np.array([noise for _, noise in rows]).reshape(len(cuts), len(risk)),
    )  # fmt: skip


def _thresholds(thresholds: Iterable[float]) -> Floats:
    cuts = np.asarray(list(thresholds), dtype=np.float64)
    if not ((cuts > 0.0) & (cuts < 1.0)).all():
        raise ValueError("thresholds: expected probabilities above 0 and below 1")
    return cuts


def _positives(chosen: Bools, truth: Floats | tuple[FollowUp, float]) -> tuple[float, Floats, float, Floats]:
    """Share chosen with each row's part in it, and share chosen with the event, with its influence."""
    rows = len(chosen)
    part = chosen / rows
    share = float(part.sum())
    if not chosen.any():
        return 0.0, part, 0.0, np.zeros(rows)
    if isinstance(truth, np.ndarray):
        hits = np.where(chosen, truth, 0.0)
        return share, part, float(hits.sum()), hits - float(hits.sum()) / rows
    follow_up, horizon_days = truth
    try:
        incidence, influence = _incidence(FollowUp.of(follow_up.code[chosen], follow_up.days[chosen]), horizon_days)
    except TooLittleData:
        return share, part, float("nan"), np.full(rows, np.nan)
    hits = part * incidence
    hits[chosen] += share * influence
    return share, part, share * incidence, hits - share * incidence / rows


def _benefit(positives: tuple[float, Floats, float, Floats], cost: float) -> tuple[float, Floats]:
    """Net benefit and its influence (n,)."""
    share, part, hits, influence = positives
    value = hits - cost * (share - hits)
    noise = influence * (1.0 + cost) - cost * (part - share / len(part))
    return value, noise


def _incidence(follow_up: FollowUp, horizon_days: float) -> tuple[float, Floats]:
    state = follow_up.at(horizon_days)
    return weighted_mean(follow_up, state, state.case.astype(np.float64))
