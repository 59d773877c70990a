"""From linear predictors to calibrated probabilities of leakage, and the links on which risks are compared.

Each part (any leak and the four routes) is recalibrated as logit = a + b * eta, a and b fitted on predictions for
patients that the model had not seen. Then the routes alone are moved, so that max(routes) <= any <= sum(routes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.interface import Scale
from models.newton import fit_logistic, sigmoid

Floats = NDArray[np.float64]
#: How far the slope of a recalibration is taken to be from 1 before the data are seen.
SLOPE_SD = 0.5
#: Keeps links finite; no honest risk here is nearer to 0 or 1.
SMALLEST_RISK = 1e-9


def link(scale: Scale, risk: Floats) -> Floats:
    """A probability on its scale: log odds, or complementary log-log."""
    inside = np.minimum(np.maximum(risk, SMALLEST_RISK), 1 - SMALLEST_RISK)
    if scale == "log_odds":
        return np.asarray(np.log(inside) - np.log1p(-inside))
    return np.asarray(np.log(-np.log1p(-inside)))


def unlink(scale: Scale, total: Floats) -> Floats:
    """The probability that a value on the scale stands for."""
    if scale == "log_odds":
        return sigmoid(np.asarray(total, dtype=float))
    return np.asarray(-np.expm1(-np.exp(np.asarray(total, dtype=float))))


def recalibration(eta: Floats, y: Floats, weights: Floats | None = None) -> tuple[float, float]:
    """Intercept and slope of y (n,) on out-of-fold linear predictors (n,).

    The slope is drawn to 1 as if known beforehand to ``SLOPE_SD``: with thirty events its own error is larger than that
    of the predictors, with three hundred nothing of it is left. A slope below 0 means no signal: it becomes 0, and the
    intercept the log odds of the mean.
    """
    spread = float(eta.std())
    if spread > 0:
        centred = (eta - eta.mean()) / spread
        penalty, one = 1 / (SLOPE_SD * spread) ** 2, np.array([spread])
        found = fit_logistic(centred[:, None], y, penalty, weights, towards=one)
        intercept, slope = (float(value) for value in found)
        if slope > 0:
            return intercept - slope * float(eta.mean()) / spread, slope / spread
    return float(link("log_odds", np.asarray(np.average(y, weights=weights)))), 0.0


def coherent_routes(leaked: Floats, routes: Floats) -> Floats:
    """Move the routes (n, 4), and only them, until max(routes) <= any leak (n,) <= sum(routes)."""
    capped = np.minimum(routes, leaked[:, None])
    total = capped.sum(axis=1)
    raised = capped * np.maximum(1.0, leaked / np.maximum(total, SMALLEST_RISK))[:, None]
    return np.asarray(np.minimum(raised, leaked[:, None]))


@dataclass(frozen=True, slots=True)
class BinaryHead:
    """logit(risk) = intercept + slope * eta for any leak and the four routes; both shape (parts,)."""

    intercept: Floats
    slope: Floats
    scale: Scale = "log_odds"
    explained: int = 1

    @property
    def parts(self) -> int:
        """How many parts there are: five, or one without routes."""
        return len(self.intercept)

    def total(self, eta: Floats, horizon_days: int | None = None) -> Floats:
        """Log odds of any leak from linear predictors (..., explained)."""
        return np.asarray(self.intercept[0] + self.slope[0] * eta[..., 0])

    def refit_totals(self, eta: Floats, horizon_days: int | None = None) -> Floats:
        """``total`` of every refit; ``eta``: (n, explained, refits), returns (n, refits)."""
        return np.asarray(self.intercept[0] + self.slope[0] * eta[:, 0, :])

    def totals(self, eta: Floats, horizons_days: tuple[int, ...]) -> Floats:
        """``total`` as heads with horizons give it, (n, 1): a leak has none."""
        return self.total(eta)[:, None]

    def totals_of_refits(self, eta: Floats, horizons_days: tuple[int, ...]) -> Floats:
        """``refit_totals`` as heads with horizons give them, (n, 1, refits)."""
        return self.refit_totals(eta)[:, None, :]

    def routes(self, main: Floats) -> Floats:
        """Probabilities of B, S, C, D beside the risk of any leak; ``main``: (n, 5), returns (n, 4)."""
        odds = self.intercept + self.slope * main
        return coherent_routes(sigmoid(odds[:, 0]), sigmoid(odds[:, 1:]))

    def gradient(self, eta: Floats) -> Floats:
        """Derivative of ``total`` by each explained linear predictor; same shape as ``eta``."""
        return np.full(eta.shape, self.slope[0])

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "binary", "intercept": self.intercept.tolist(), "slope": self.slope.tolist()}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> BinaryHead:
        return cls(np.asarray(stored["intercept"], dtype=float), np.asarray(stored["slope"], dtype=float))
