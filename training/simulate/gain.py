"""Judging a model against the known truth: log loss in expectation, free of the noise of drawn outcomes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def expected_log_loss(risk: Floats | float, truth: Floats) -> float:
    """Mean log loss of ``risk`` in expectation over outcomes drawn from ``truth``, (n,) each or one risk for all.

    −mean[truth·log(risk) + (1 − truth)·log(1 − risk)], in nats; smallest where risk equals truth. Infinite if a risk
    is 0 or 1 where the truth is not. Raises ValueError for anything that is not a probability.
    """
    risk, truth = np.broadcast_arrays(np.asarray(risk, dtype=float), np.asarray(truth, dtype=float))
    if not (np.all((risk >= 0) & (risk <= 1)) and np.all((truth >= 0) & (truth <= 1))):
        raise ValueError("risk and truth must be probabilities, without NaN")
    with np.errstate(divide="ignore", invalid="ignore"):
        event = np.where(truth > 0, truth * np.log(risk), 0.0)
        none = np.where(truth < 1, (1 - truth) * np.log1p(-risk), 0.0)
    return float(-np.mean(event + none))


def share_of_gain(base: Floats | float, model: Floats, truth: Floats) -> float:
    """Share of the achievable gain: (L(base) − L(model)) / (L(base) − L(truth)), L as `expected_log_loss`.

    1 for the truth itself, 0 for the base rate, negative for worse than that. Not defined (ValueError) where the truth
    is no better than the base.
    """
    start, best = expected_log_loss(base, truth), expected_log_loss(truth, truth)
    if not start - best > 0:
        raise ValueError("the truth is no better than the base: there is nothing to gain")
    return (start - expected_log_loss(model, truth)) / (start - best)
