"""Discrimination and overall accuracy of predicted risk of an event by a horizon, with censoring and competing events.

``risk``: probability of event 1 by the horizon, shape (rows,); ``event_code``: 0 censored, 1 the event, 2 and up
competing; ``days``: follow-up; ``horizon_days``: one number. Censoring is handled by inverse-probability weights from
the Kaplan-Meier estimator over all rows (training/metrics/censoring.py has the conventions, docs/statistics.md the
formulas). Horizons beyond follow-up raise TooLittleData.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from features.errors import TooLittleData
from training.metrics import binary, checks
from training.metrics.censoring import FollowUp, StateAt, weighted_mean
from training.metrics.pairs import comparable, concordant
from training.metrics.types import Clusters, Estimate, Floats, RiskDistribution, cluster_codes, estimate


def concordance(
    risk: ArrayLike,
    event_code: ArrayLike,
    days: ArrayLike | None = None,
    horizon_days: float | None = None,
    cluster: Clusters = None,
) -> Estimate:
    """Harrell's concordance; with ``days`` left out, ``event_code`` is a binary outcome and this is ``auc``.

    Pairs: one row had the event (by the horizon, if given), the other was then still under observation without it or
    has had a competing event, at any time (Wolbers 2009: who dies stays in the risk set, because death does not make a
    fracture come earlier). Two events on one day make no pair; risk ties count half. All risks equal: 0.5. Higher risk
    must go with earlier event. Without weights its limit depends on censoring; ``concordance_uno`` does not.
    """
    if days is None:
        return binary.auc(risk, event_code, cluster)
    values, follow_up, first = _ranking(risk, event_code, days, horizon_days)
    size = len(follow_up.times)
    order = np.where(follow_up.code > 1, 2 * size, 2 * follow_up.position + (follow_up.code == 0))
    ones = np.ones(len(values))
    won, all_pairs = concordant(values, order, first, ones), comparable(order, first, ones)
    total = _pairs_or_error(float(first @ all_pairs.for_first))
    value = float(first @ won.for_first) / total
    as_first = first * (won.for_first - value * all_pairs.for_first)
    influence = (as_first + won.for_second - value * all_pairs.for_second) / total
    return estimate(value, influence, cluster_codes(cluster, len(values)), "logit", size=int(first.sum()))


def concordance_uno(
    risk: ArrayLike, event_code: ArrayLike, days: ArrayLike, horizon_days: float | None = None, cluster: Clusters = None
) -> Estimate:
    """Concordance weighted for censoring (Uno 2011; with competing events Wolbers 2014), up to the horizon.

    A pair of an event at t and a row still observed after t weighs 1/G(t-)^2; one with a competing event at s <= t
    weighs 1/(G(t-) G(s-)). Without a horizon the last events may carry very large weights: give one.
    """
    values, follow_up, first = _ranking(risk, event_code, days, horizon_days)
    weight = np.where(follow_up.code > 0, 1.0 / follow_up.uncensored[follow_up.position], 0.0)
    size, competing = len(follow_up.times), follow_up.code > 1
    later = 2 * follow_up.position + (follow_up.code == 0)
    earlier = 2 * (size - follow_up.position) + competing
    groups = ((later, first * weight**2, np.ones(len(values))), (earlier, first * weight, weight * competing))
    won = [concordant(values, *group) for group in groups]
    pairs = [comparable(*group) for group in groups]
    total = _pairs_or_error(sum(float(group[1] @ one.for_first) for group, one in zip(groups, pairs, strict=True)))
    value = sum(float(group[1] @ one.for_first) for group, one in zip(groups, won, strict=True)) / total
    firsts = [g[1] * (w.for_first - value * p.for_first) / total for g, w, p in zip(groups, won, pairs, strict=True)]
    seconds = [g[2] * (w.for_second - value * p.for_second) / total for g, w, p in zip(groups, won, pairs, strict=True)]
    # The weight of a pair of the first kind is squared in G at the event: its derivative by log(1/G) is twice itself.
    noise = follow_up.weight_noise(2 * firsts[0] + firsts[1] + seconds[1], follow_up.position)
    influence = firsts[0] + firsts[1] + seconds[0] + seconds[1] + noise
    return estimate(value, influence, cluster_codes(cluster, len(values)), "logit", size=int(first.sum()))


def auc_at(
    risk: ArrayLike, event_code: ArrayLike, days: ArrayLike, horizon_days: float, cluster: Clusters = None
) -> Estimate:
    """Cumulative/dynamic AUC: chance that a case has a higher risk than a control, ties half.

    Cases: event 1 by the horizon. Controls: everyone else, that is event-free at the horizon or with a competing event
    by then (definition (ii) of Blanche 2013, the one of riskRegression). Raises TooLittleData
    without cases or controls.
    """
    values = checks.scores(risk)
    follow_up, state = _at(event_code, days, horizon_days, len(values))
    cases, controls = _classes(state, "auc_at")
    value, direct = binary.weighted_auc(values, cases, controls)
    influence = direct + follow_up.weight_noise(direct, state.stage)
    smaller = int(min(state.case.sum(), (controls > 0).sum()))
    return estimate(value, influence, cluster_codes(cluster, len(values)), "logit", size=smaller)


def brier_at(
    risk: ArrayLike, event_code: ArrayLike, days: ArrayLike, horizon_days: float, cluster: Clusters = None
) -> Estimate:
    """Mean squared difference of risk and state at the horizon, weighted for censoring (Graf 1999, Gerds 2006)."""
    values = checks.risks(risk)
    follow_up, state = _at(event_code, days, horizon_days, len(values))
    mean, influence = weighted_mean(follow_up, state, (values - state.case) ** 2)
    return estimate(mean, influence, cluster_codes(cluster, len(values)), limits=(0.0, np.inf))


def scaled_brier_at(
    risk: ArrayLike, event_code: ArrayLike, days: ArrayLike, horizon_days: float, cluster: Clusters = None
) -> Estimate:
    """1 - Brier / Brier of giving everyone the Aalen-Johansen incidence at the horizon (IPA; Kattan and Gerds 2018).

    Raises TooLittleData where nobody or everybody has the event by then.
    """
    values = checks.risks(risk)
    follow_up, state = _at(event_code, days, horizon_days, len(values))
    _classes(state, "scaled_brier_at")
    loss = weighted_mean(follow_up, state, (values - state.case) ** 2)
    share = weighted_mean(follow_up, state, state.case.astype(np.float64))
    score, influence = binary.scale_loss(*loss, *share)
    return estimate(score, influence, cluster_codes(cluster, len(values)), limits=(-np.inf, 1.0))


def log_loss_at(
    risk: ArrayLike, event_code: ArrayLike, days: ArrayLike, horizon_days: float, cluster: Clusters = None
) -> Estimate:
    """Mean of minus the log-likelihood of the state at the horizon, weighted for censoring; 0 or 1 as in log_loss."""
    values = checks.risks(risk)
    follow_up, state = _at(event_code, days, horizon_days, len(values))
    mean, influence = weighted_mean(follow_up, state, binary.log_loss_of(values, state.case.astype(np.float64)))
    return estimate(mean, influence, cluster_codes(cluster, len(values)), limits=(0.0, np.inf))


def risk_distribution_at(
    risk: ArrayLike, event_code: ArrayLike, days: ArrayLike, horizon_days: float
) -> RiskDistribution:
    """How risk is spread among those with and without the event by the horizon, weighted for censoring."""
    values = checks.risks(risk)
    _, state = _at(event_code, days, horizon_days, len(values))
    return binary.weighted_distribution(values, *_classes(state, "risk_distribution_at"))


def _at(event_code: ArrayLike, days: ArrayLike, horizon_days: float, rows: int) -> tuple[FollowUp, StateAt]:
    checks.times(days, rows)
    follow_up = FollowUp.of(event_code, days)
    return follow_up, follow_up.at(float(horizon_days))


def _classes(state: StateAt, what: str) -> tuple[Floats, Floats]:
    """Weights of the rows as cases and as controls."""
    cases = np.where(state.case, state.weight, 0.0)
    controls = np.where(state.case, 0.0, state.weight)
    if not (cases.any() and controls.any()):
        raise TooLittleData(f"{what} needs rows known to have had the event by the horizon and rows known not to")
    return cases, controls


def _ranking(
    risk: ArrayLike, event_code: ArrayLike, days: ArrayLike, horizon_days: float | None
) -> tuple[Floats, FollowUp, Floats]:
    values = checks.scores(risk)
    checks.times(days, len(values))
    follow_up = FollowUp.of(event_code, days)
    counted = follow_up.code == 1
    if horizon_days is not None:
        follow_up.require(float(horizon_days))
        counted = counted & (follow_up.days <= horizon_days)
    return values, follow_up, counted.astype(np.float64)


def _pairs_or_error(total: float) -> float:
    if total <= 0:
        raise TooLittleData("concordance needs an event with somebody still under observation; no pair can be compared")
    return total
