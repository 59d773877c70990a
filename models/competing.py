"""From cause-specific hazards to cumulative incidence.

Each cause k has the hazard  lambda_k(t) exp(slope_k * eta_k).  Its cumulative baseline is kept on a fixed coarse grid
of days, never at the event times of patients, who could be read back from them. At the days of the grid it is the
value of Efron's step function, the day itself included (as R has it; lifelines interpolates); between them hazards are
taken as proportional to each other, which makes the incidence exact:

    F_k(t) = sum over intervals of  S(start) * (dH_k / dH) * (1 - exp(-dH)),   dH = sum over causes of dH_k.

Death competes: one minus Kaplan-Meier, which would treat the dead as if they could still fracture, is never used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import ModelDamaged, UsageError
from features.outcome import HORIZON_DAYS
from models.calibrate import SMALLEST_RISK, link
from models.interface import Scale
from models.newton import RiskSets, efron_hazard, fit_cox

Floats = NDArray[np.float64]

#: Dense where the hazard falls steeply; holds the three horizons and the scheduled visits.
GRID_DAYS = (
    2, 5, 9, 14, 21, 30, 45, 60, 75, 91, 120, 150, 183, 215, 250, 290, 330, 365, 420, 480, 540, 600, 665, 730,
)  # fmt: skip
DEFAULT_HORIZON_DAYS = HORIZON_DAYS[12]


@dataclass(frozen=True, slots=True)
class HazardHead:
    """Baselines and slopes of all causes.

    ``grid_days``: (g,); ``hazard``: (causes, g) increments of the cumulative baseline hazards; ``slope``: (causes,);
    ``refits``: (refits, causes, g) the increments of the refits on patient resamples, for intervals; the first
    ``events`` causes make up the risk that is asked for, the others compete.
    """

    grid_days: Floats
    hazard: Floats
    slope: Floats
    refits: Floats
    events: int
    scale: Scale = "complementary_log_log"
    # Minus the running sums of the increments, so that a product gives the logarithm of survival.
    _decline: Floats = field(init=False, repr=False, compare=False)
    _refits_decline: Floats = field(init=False, repr=False, compare=False)
    _place: dict[float, int] = field(init=False, repr=False, compare=False)
    # (g, g): each column has a one for every interval up to its own; a product sums up to the days asked for.
    _up_to: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_decline", -np.cumsum(self.hazard, axis=-1))
        object.__setattr__(self, "_refits_decline", -np.cumsum(self.refits, axis=-1))
        object.__setattr__(self, "_place", {day: place for place, day in enumerate(self.grid_days.tolist())})
        object.__setattr__(self, "_up_to", np.triu(np.ones((len(self.grid_days), len(self.grid_days)))))

    @property
    def explained(self) -> int:
        return len(self.slope)

    @property
    def parts(self) -> int:
        """How many causes there are."""
        return len(self.slope)

    def cumulative_incidence(self, eta: Floats, horizons_days: tuple[int, ...]) -> Floats:
        """Of each cause by each horizon; ``eta``: (n, causes), returns (n, causes, horizons)."""
        relative, ends = np.exp(self.slope * eta), [self._index(days) for days in horizons_days]
        total, _, leaving = _course(relative, self.hazard, self._decline)
        leaving /= total
        return relative[:, :, None] * ((leaving[:, None, :] * self.hazard) @ self._up_to[:, ends])

    def incidence(self, eta: Floats, horizon_days: int | None = None) -> Floats:
        """Of the causes asked for together by one horizon; ``eta``: (n, causes), returns (n,)."""
        return self._incidence(eta, (horizon_days,))[:, 0]

    def total(self, eta: Floats, horizon_days: int | None = None) -> Floats:
        """Complementary log-log of ``incidence``."""
        return link(self.scale, self.incidence(eta, horizon_days))

    def totals(self, eta: Floats, horizons_days: tuple[int, ...]) -> Floats:
        """``total`` by several horizons, ascending, in one pass; ``eta``: (n, causes), returns (n, horizons)."""
        return link(self.scale, self._incidence(eta, horizons_days))

    def refit_totals(self, eta: Floats, horizon_days: int | None = None) -> Floats:
        """``total`` of every refit with its own baseline; ``eta``: (n, causes, refits), returns (n, refits)."""
        return self._totals_of_refits(eta, (horizon_days,))[:, 0]

    def totals_of_refits(self, eta: Floats, horizons_days: tuple[int, ...]) -> Floats:
        """``refit_totals`` by several horizons; ``eta``: (n, causes, refits), returns (n, horizons, refits)."""
        return self._totals_of_refits(eta, horizons_days)

    def _incidence(self, eta: Floats, horizons_days: tuple[int | None, ...]) -> Floats:
        return self._incidence_by(np.exp(self.slope * eta), self.hazard, self._decline, horizons_days)

    def _totals_of_refits(self, eta: Floats, horizons_days: tuple[int | None, ...]) -> Floats:
        # Refit by refit in one block, as the products over causes need it; transposed alone they take twice as long.
        relative = np.exp(np.multiply(eta.transpose(2, 0, 1), self.slope, order="C"))
        found = self._incidence_by(relative, self.refits, self._refits_decline, horizons_days)
        return np.ascontiguousarray(link(self.scale, found).transpose(1, 2, 0))

    def _incidence_by(
        self, relative: Floats, hazard: Floats, decline: Floats, horizons_days: tuple[int | None, ...]
    ) -> Floats:
        """Of the causes asked for together, (..., n, horizons); the arrays as in ``_course``."""
        ends = [self._index(days) for days in horizons_days]
        if self.events == self.parts:  # nothing competes: who has not survived has had the event
            return np.asarray(-np.expm1(relative @ decline[..., ends]))
        total, _, leaving = _course(relative, hazard, decline)
        leaving *= relative[..., : self.events] @ hazard[..., : self.events, :]
        leaving /= total
        return np.asarray(leaving @ self._up_to[:, ends])

    def gradient(self, eta: Floats) -> Floats:
        """Derivative of ``total`` at the default horizon by each linear predictor ``eta`` (n, causes), same shape.

        A cause with more hazard has more events of its own, takes from every cause its share of those who leave in an
        interval, and leaves fewer for the intervals after it.
        """
        until = slice(0, self._index(None) + 1)
        hazard, decline, relative = self.hazard[:, until], self._decline[:, until], np.exp(self.slope * eta)
        total, survival, leaving = _course(relative, hazard, decline)
        share = relative[:, : self.events] @ hazard[: self.events] / total
        # Within the bounds of ``link``, so that there is a slope where nobody or everybody has had the event.
        incidence = np.minimum(np.maximum(np.vecdot(share, leaving), SMALLEST_RISK), 1 - SMALLEST_RISK)
        leaving /= total
        drop = share.copy()
        drop[:, :-1] -= share[:, 1:]
        by_hazard = -(leaving * share) @ hazard.T - (survival * drop) @ decline.T
        by_hazard[:, : self.events] += leaving @ hazard[: self.events].T
        slope_of_link = -1.0 / ((1 - incidence) * np.log1p(-incidence))
        return np.asarray(self.slope * relative * by_hazard * slope_of_link[:, None])

    def _index(self, horizon_days: int | None) -> int:
        try:
            return self._place[DEFAULT_HORIZON_DAYS if horizon_days is None else horizon_days]
        except KeyError as error:
            raise UsageError(f"horizon_days must be one of {[int(day) for day in self._place]}") from error

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "hazard",
            "grid_days": self.grid_days.tolist(),
            "hazard": self.hazard.tolist(),
            "slope": self.slope.tolist(),
            "refits": self.refits.tolist(),
            "events": self.events,
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> HazardHead:
        """Raises ``ModelDamaged`` if the baselines do not fit together."""
        names = ("grid_days", "hazard", "slope", "refits")
        grid_days, hazard, slope, refits = (np.asarray(stored[name], dtype=float) for name in names)
        head = cls(grid_days, hazard, slope, refits, int(stored["events"]))
        if not head._fits_together():
            raise ModelDamaged("the baseline hazards of the model do not fit together")
        return head

    def _fits_together(self) -> bool:
        shape = (len(self.slope), len(self.grid_days))
        shapes = self.slope.ndim == self.grid_days.ndim == 1 and self.hazard.shape == self.refits.shape[1:] == shape
        finite = all(np.isfinite(values).all() for values in (self.grid_days, self.hazard, self.slope, self.refits))
        days = DEFAULT_HORIZON_DAYS in self.grid_days and bool((np.diff(self.grid_days) > 0).all())
        return shapes and finite and days and 1 <= self.events <= len(self.slope)


def _course(relative: Floats, hazard: Floats, decline: Floats) -> tuple[Floats, Floats, Floats]:
    """Total hazard in each interval, survival to its end and the probability of leaving within it, each (..., n, g).

    ``relative``: (..., n, causes) hazards beside the baseline; ``hazard``: (..., causes, g) increments of the
    cumulative baselines, ``decline`` minus their running sums.
    """
    total = relative @ hazard
    total += 1e-300
    survival = np.exp(relative @ decline)
    leaving = np.empty_like(survival)
    # Row after row as one list: many subtractions of short rows take four times as long.
    np.subtract(survival.reshape(-1)[:-1], survival.reshape(-1)[1:], out=leaving.reshape(-1)[1:])
    np.subtract(1.0, survival[..., 0], out=leaving[..., 0])
    return total, survival, leaving


def refit_hazards(eta: Floats, slope: float, sets: RiskSets, grid_days: Floats, weights: Floats) -> Floats:
    """Baseline increments (refits, g) of the refits: ``eta`` and ``weights`` are (refits, n)."""
    rows = [
        np.diff(efron_hazard(slope * margin, sets, grid_days, weight), prepend=0.0)
        for margin, weight in zip(eta, weights, strict=True)
    ]
    return np.array(rows).reshape(len(rows), len(grid_days))


def hazard_recalibration(eta: Floats, sets: RiskSets, grid_days: Floats) -> tuple[float, Floats]:
    """Slope and baseline increments (g,) of one cause, from out-of-fold linear predictors (n,).

    The baseline is that of a Cox model whose only term is eta. A slope below 0 means no signal: it becomes 0.
    """
    spread = float(eta.std())
    slope = max(float(fit_cox(eta[:, None] / spread, sets)[0]) / spread, 0.0) if spread > 0 else 0.0
    cumulative = efron_hazard(slope * eta, sets, grid_days)
    return slope, np.diff(cumulative, prepend=0.0)
