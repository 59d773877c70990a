"""Small generalised linear fits for calibration: a link, a restricted cubic spline, and the influence of each row.

Binary outcomes: logistic regression. Pseudo-observations: complementary log-log link with constant variance, that is
the estimating equation that ``geepack::geese(family = gaussian, mean.link = "cloglog")`` solves, as van Geloven 2022
use it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from training.metrics.types import Floats

MAX_STEPS = 60
RUNAWAY = "the fit did not converge (the risk may separate those with the event from those without)"


class Link(NamedTuple):
    """``predictor`` of a mean, ``mean`` of a predictor, d mean / d predictor, working variance, loss to go down on."""

    name: str
    predictor: Callable[[Floats], Floats]
    mean: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]
    variance: Callable[[Floats], Floats]
    loss: Callable[[Floats, Floats], float]


def _expit(eta: Floats) -> Floats:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * eta)), dtype=np.float64)


def _cloglog_mean(eta: Floats) -> Floats:
    return np.asarray(-np.expm1(-np.exp(np.clip(eta, -700.0, 30.0))), dtype=np.float64)


def _cloglog_slope(eta: Floats) -> Floats:
    kept = np.clip(eta, -700.0, 30.0)
    return np.asarray(np.exp(kept - np.exp(kept)), dtype=np.float64)


def _expit_slope(eta: Floats) -> Floats:
    return np.asarray(_expit(eta) * _expit(-eta), dtype=np.float64)


LOGIT = Link(
    "logit",
    lambda mean: np.log(mean) - np.log1p(-mean),
    _expit,
    _expit_slope,
    _expit_slope,
    lambda eta, y: float(np.sum(np.logaddexp(0.0, eta) - y * eta)),
)
CLOGLOG = Link(
    "complementary log-log",
    lambda mean: np.log(-np.log1p(-mean)),
    _cloglog_mean,
    _cloglog_slope,
    np.ones_like,
    lambda eta, y: float(np.sum((y - _cloglog_mean(eta)) ** 2)),
)


@dataclass(frozen=True, slots=True)
class Fit:
    """``coefficients`` (p,), ``influence`` of each row on them (n, p); ``reason`` is empty if the fit succeeded."""

    coefficients: Floats
    influence: Floats
    reason: str = ""


def fit(columns: Floats, y: Floats, offset: Floats, link: Link, start: Floats) -> Fit:
    """Fisher scoring with step halving. ``columns``: (n, p), ``y`` and ``offset``: (n,), ``start``: (p,)."""
    coefficients = start.astype(np.float64)
    eta = columns @ coefficients + offset
    loss = link.loss(eta, y)
    for _ in range(MAX_STEPS):
        step = _step(columns, y, eta, link)
        if step is None:
            return _failed(columns, "the fit is not determined by these data")
        size = float(np.abs(step).max()) / (1.0 + float(np.abs(coefficients).max()))
        if size < 1e-9:
            return Fit(coefficients, _influence(columns, y, eta, link))
        coefficients, eta, new_loss = _halve(columns, y, offset, link, coefficients, step, loss)
        if loss - new_loss < 1e-14 * abs(loss):
            # No further way down: the optimum if the last step was short, a slope running away if it was not.
            return Fit(coefficients, _influence(columns, y, eta, link)) if size < 1e-4 else _failed(columns, RUNAWAY)
        loss = new_loss
    return _failed(columns, RUNAWAY)


def _halve(
    columns: Floats, y: Floats, offset: Floats, link: Link, coefficients: Floats, step: Floats, loss: float
) -> tuple[Floats, Floats, float]:
    """Goes the longest of 1, 1/2, 1/4... of ``step`` that does not raise the loss; coefficients, predictor, loss."""
    for halvings in range(30):
        moved = coefficients + step * 0.5**halvings
        eta = columns @ moved + offset
        new_loss = link.loss(eta, y)
        if np.isfinite(new_loss) and new_loss <= loss:
            return moved, eta, new_loss
    return coefficients, columns @ coefficients + offset, loss


def _information(columns: Floats, eta: Floats, link: Link) -> Floats:
    weight = link.slope(eta) ** 2 / np.maximum(link.variance(eta), 1e-300)
    return np.asarray(columns.T @ (columns * weight[:, None]), dtype=np.float64)


def _scores(columns: Floats, y: Floats, eta: Floats, link: Link) -> Floats:
    pull = (y - link.mean(eta)) * link.slope(eta) / np.maximum(link.variance(eta), 1e-300)
    return np.asarray(columns * pull[:, None], dtype=np.float64)


def _step(columns: Floats, y: Floats, eta: Floats, link: Link) -> Floats | None:
    information = _information(columns, eta, link)
    # Scaled to a unit diagonal, so that the test of singularity does not depend on the unit of a column.
    size = np.sqrt(np.diag(information))
    if not np.isfinite(size).all() or (size <= 0).any():
        return None
    scaled = information / np.outer(size, size)
    if np.linalg.cond(scaled) > 1e12:
        return None
    return np.asarray(np.linalg.solve(scaled, _scores(columns, y, eta, link).sum(axis=0) / size) / size)


def _influence(columns: Floats, y: Floats, eta: Floats, link: Link) -> Floats:
    scores = _scores(columns, y, eta, link)
    return np.asarray(np.linalg.solve(_information(columns, eta, link), scores.T).T, dtype=np.float64)


def _failed(columns: Floats, reason: str) -> Fit:
    return Fit(np.full(columns.shape[1], np.nan), np.full(columns.shape, np.nan), reason)


def spline_knots(predictor: Floats, count: int) -> Floats:
    """Knots at the quantiles that Harrell (Regression Modeling Strategies, 2015) proposes; fewer if they coincide."""
    levels = {3: (0.10, 0.50, 0.90), 4: (0.05, 0.35, 0.65, 0.95)}[count]
    knots = np.unique(np.quantile(predictor, levels))
    return knots if len(knots) >= 3 else np.empty(0)


def spline(predictor: Floats, knots: Floats) -> Floats:
    """Columns 1, x and the restricted cubic spline terms (linear beyond the outer knots), shape (n, max(2, knots)).

    Scaled by the squared span of the knots, as rms::rcs does.
    """
    plain = np.column_stack((np.ones_like(predictor), predictor))
    if len(knots) < 3:
        return plain
    last, before = knots[-1], knots[-2]
    cube = np.maximum(predictor[:, None] - knots, 0.0) ** 3
    left = (last - knots[:-2]) / (last - before)
    right = (before - knots[:-2]) / (last - before)
    terms = cube[:, :-2] - cube[:, [-2]] * left + cube[:, [-1]] * right
    return np.column_stack((plain, terms / (last - knots[0]) ** 2))
