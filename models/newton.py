"""Newton's method for the two penalised likelihoods: logistic, and Cox with Efron's treatment of ties.

Both minimise  -log likelihood + penalty / 2 * sum((beta - towards) ** 2)  over standardised terms. Row weights are the
multiplicities of a bootstrap sample, so that a refit needs no copy of the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

ROUNDS = 40
TOLERANCE = 1e-9


def sigmoid(eta: Floats) -> Floats:
    """1 / (1 + exp(-eta)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * eta)))


def fit_logistic(
    z: Floats,
    y: Floats,
    penalty: float | Floats = 0.0,
    weights: Floats | None = None,
    start: Floats | None = None,
    towards: Floats | None = None,
) -> Floats:
    """Intercept and coefficients, shape (q + 1,). ``z``: (n, q) terms, ``y``: (n,) of 0 and 1.

    The penalty, one for all or one for each term, is on the distance to ``towards`` (q,), by default to 0, and leaves
    the intercept free. ``weights``: (n,); ``start``: (q + 1,).
    """
    n, q = z.shape
    design = np.empty((n, q + 1))
    design[:, 0], design[:, 1:] = 1.0, z
    w = np.ones(n) if weights is None else weights
    ridge = np.r_[0.0, np.broadcast_to(penalty, q)]
    aim = np.zeros(q + 1) if towards is None else np.r_[0.0, towards]
    beta = _logistic_start(y, w, q) if start is None else start.copy()

    def loss_at(b: Floats) -> float:
        return _logistic_loss(design @ b, y, w) + 0.5 * float(ridge @ (b - aim) ** 2)

    loss = loss_at(beta)
    for _ in range(ROUNDS):
        risk = sigmoid(design @ beta)
        gradient = design.T @ (w * (risk - y)) + ridge * (beta - aim)
        curvature = (design * (w * risk * (1 - risk))[:, None]).T @ design
        curvature[np.diag_indices(q + 1)] += ridge + 1e-9
        step = np.linalg.solve(curvature, gradient)
        beta, loss, moved = _downhill(beta, step, loss, loss_at)
        if moved < TOLERANCE:
            break
    return beta


def _logistic_start(y: Floats, w: Floats, q: int) -> Floats:
    rate = float(np.clip((w @ y) / w.sum(), 1e-6, 1 - 1e-6))
    return np.concatenate([[np.log(rate / (1 - rate))], np.zeros(q)])


def _logistic_loss(eta: Floats, y: Floats, w: Floats) -> float:
    return float(w @ (np.logaddexp(0.0, eta) - y * eta))


def _downhill(
    beta: Floats, step: Floats, loss: float, loss_at: Callable[[Floats], float]
) -> tuple[Floats, float, float]:
    """Take the Newton step, halved until the loss no longer rises: the new point, its loss and how far it went."""
    for _ in range(30):
        candidate = beta - step
        value = loss_at(candidate)
        if value <= loss + 1e-10 * (1 + abs(loss)):
            return candidate, value, float(np.max(np.abs(step)))
        step = step / 2
    return beta, loss, 0.0


@dataclass(frozen=True, slots=True)
class RiskSets:
    """The ordering of follow-up times that every likelihood and baseline needs; built once, used for each refit.

    Rows are sorted by time, latest first, so that the risk set of a time is a prefix. One *slot* per event; events
    tied at a time share ``end`` (size of the risk set) and have tie fractions 0, 1/d, …, (d-1)/d (Efron 1977).
    """

    order: Ints  # rows, latest first
    time: Floats  # (slots,) days of each event
    end: Ints  # (slots,) rows at risk are order[:end]
    fraction: Floats  # (slots,)
    tie: Ints  # (slots,) index of the distinct event time
    events: Ints  # (slots,) row (in the order given) of each event

    @classmethod
    def of(cls, days: Floats, event: NDArray[np.bool_]) -> RiskSets:
        """``days``: (n,) follow-up, ``event``: (n,) whether it ended in the event."""
        order = np.argsort(-days, kind="stable")
        events = np.flatnonzero(event)
        events = events[np.argsort(days[events], kind="stable")]
        time = days[events]
        _, tie, first, count = _ties(time)
        fraction = (np.arange(len(time)) - first[tie]) / count[tie]
        end = np.searchsorted(-days[order], -time, side="right")
        return cls(order, time, end, fraction, tie, events)


def _ties(time: Floats) -> tuple[Floats, Ints, Ints, Ints]:
    distinct, first, tie, count = np.unique(time, return_index=True, return_inverse=True, return_counts=True)
    return distinct, tie, first, count


@dataclass(frozen=True, slots=True)
class _Sums:
    """Weighted sums over risk sets at one coefficient vector, per slot, with Efron's share of the tied taken out."""

    relative: Floats  # (n,) w exp(eta)
    total: Floats  # (slots,)
    weight: Floats  # (slots,) mean weight of the tied events


def _sums(sets: RiskSets, eta: Floats, w: Floats) -> _Sums:
    relative = w * np.exp(eta - eta.max())
    at_risk = np.cumsum(relative[sets.order])[sets.end - 1]
    ties = int(sets.tie[-1]) + 1
    tied = np.bincount(sets.tie, relative[sets.events], ties)
    count = np.bincount(sets.tie, minlength=ties)
    weight = (np.bincount(sets.tie, w[sets.events], ties) / count)[sets.tie]
    # A resample may leave nobody at risk at an event time of nobody drawn: the slot then weighs nothing.
    total = np.maximum(at_risk - sets.fraction * tied[sets.tie], 1e-300)
    return _Sums(relative, total, weight)


def fit_cox(
    z: Floats,
    sets: RiskSets,
    penalty: float | Floats = 0.0,
    weights: Floats | None = None,
    start: Floats | None = None,
    towards: Floats | None = None,
) -> Floats:
    """Coefficients (q,) of a Cox model with Efron ties; ``z``: (n, q) terms in the row order of ``sets``.

    The penalty is on the distance to ``towards`` (q,), by default to 0.
    """
    q = z.shape[1]
    w = np.ones(len(z)) if weights is None else weights
    ridge: Floats = np.broadcast_to(np.asarray(penalty, dtype=float), q)
    aim = np.zeros(q) if towards is None else towards
    beta = aim.copy() if start is None else start.copy()
    if not len(sets.time):
        return aim.copy()

    def loss_at(b: Floats) -> float:
        return cox_loss(z @ b, sets, w) + 0.5 * float(ridge @ (b - aim) ** 2)

    loss = loss_at(beta)
    for _ in range(ROUNDS):
        gradient, curvature = _cox_derivatives(z, z @ beta, sets, w)
        curvature[np.diag_indices(q)] += ridge + 1e-9
        step = np.asarray(np.linalg.solve(curvature, gradient + ridge * (beta - aim)), dtype=float)
        beta, loss, moved = _downhill(beta, step, loss, loss_at)
        if moved < TOLERANCE:
            break
    return beta


def cox_loss(eta: Floats, sets: RiskSets, weights: Floats | None = None) -> float:
    """Minus the log partial likelihood (Efron) of linear predictors ``eta`` (n,)."""
    w = np.ones(len(eta)) if weights is None else weights
    sums = _sums(sets, eta, w)
    return float(sums.weight @ (np.log(sums.total) + eta.max()) - w[sets.events] @ eta[sets.events])


def _cox_derivatives(z: Floats, eta: Floats, sets: RiskSets, w: Floats) -> tuple[Floats, Floats]:
    """Gradient (q,) and curvature (q, q) of ``cox_loss``.

    The curvature is Z' diag(c) Z - sum of weight * mean mean', where c gathers for each row what the slots that it is
    at risk in take of it: no (n, q, q) array is needed. Sums over risk sets are built from the rows that each event
    time adds to the one after it, so that nothing as long as the data is summed twice.
    """
    sums = _sums(sets, eta, w)
    ties = int(sets.tie[-1]) + 1
    weighted = sums.relative[:, None] * z
    first = np.flatnonzero(np.r_[True, sets.tie[1:] != sets.tie[:-1]])
    ends = sets.end[first][::-1]  # ascending: the latest event time has the smallest risk set
    added = np.add.reduceat(weighted[sets.order[: ends[-1]]], np.r_[0, ends[:-1]], axis=0)
    at_risk = np.cumsum(added, axis=0)[::-1]
    tied = np.add.reduceat(weighted[sets.events], first, axis=0)
    mean = (at_risk[sets.tie] - sets.fraction[:, None] * tied[sets.tie]) / sums.total[:, None]
    share = sums.weight / sums.total
    gradient = sums.weight @ mean - w[sets.events] @ z[sets.events]
    taken = _taken(sets, share, len(z), ties) * sums.relative
    curvature = (z * taken[:, None]).T @ z - (mean * sums.weight[:, None]).T @ mean
    return gradient, curvature


def _taken(sets: RiskSets, share: Floats, n: int, ties: int) -> Floats:
    """For each row the sum of ``share`` over the slots that it is at risk in, its own tie's reduced by the fraction."""
    by_end = np.bincount(sets.end - 1, share, n)
    taken = np.empty(n)
    taken[sets.order] = np.cumsum(by_end[::-1])[::-1]
    own = np.bincount(sets.tie, share * sets.fraction, ties)
    taken[sets.events] -= own[sets.tie]
    return taken


def efron_hazard(eta: Floats, sets: RiskSets, grid_days: Floats, weights: Floats | None = None) -> Floats:
    """Cumulative baseline hazard (eta = 0) at the days of the grid, Efron's estimator, the day itself included.

    Breslow's, which ignores ties, differs visibly where many events fall on one day: most leaks are seen on day 0 or 1.
    """
    w = np.ones(len(eta)) if weights is None else weights
    if not len(sets.time):
        return np.zeros(len(grid_days))
    sums = _sums(sets, eta, w)
    cumulative = np.r_[0.0, np.cumsum(sums.weight / sums.total)] * np.exp(-eta.max())
    return np.asarray(cumulative[np.searchsorted(sets.time, grid_days, side="right")])
