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
from models.calibrate import link
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
    # Running sums of the increments, so that a product gives cumulative hazards without a running sum per question.
    _running: Floats = field(init=False, repr=False, compare=False)
    _refits_running: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_running", np.cumsum(self.hazard, axis=-1))
        object.__setattr__(self, "_refits_running", np.cumsum(self.refits, axis=-1))

    @property
    def explained(self) -> int:
        return len(self.slope)

    @property
    def parts(self) -> int:
        """How many causes there are."""
        return len(self.slope)

    def cumulative_incidence(self, eta: Floats, horizons_days: tuple[int, ...]) -> Floats:
        """Of each cause by each horizon; ``eta``: (n, causes), returns (n, causes, horizons)."""
        hazards = np.exp(self.slope * eta)[:, :, None] * self.hazard
        leaving, total = self._leaving(hazards)
        incidence = np.cumsum(hazards * (leaving / total)[:, None, :], axis=2)
        return incidence[:, :, [self._index(days) for days in horizons_days]]

    def incidence(self, eta: Floats, horizon_days: int | None = None) -> Floats:
        """Of the causes asked for together by one horizon; ``eta``: (n, causes), returns (n,)."""
        return self._incidence(eta, (self._index(horizon_days),))[:, 0]

    def total(self, eta: Floats, horizon_days: int | None = None) -> Floats:
        """Complementary log-log of ``incidence``."""
        return link(self.scale, self.incidence(eta, horizon_days))

    def totals(self, eta: Floats, horizons_days: tuple[int, ...]) -> Floats:
        """``total`` by several horizons, ascending, in one pass; ``eta``: (n, causes), returns (n, horizons)."""
        return link(self.scale, self._incidence(eta, tuple(self._index(days) for days in horizons_days)))

    def refit_totals(self, eta: Floats, horizon_days: int | None = None) -> Floats:
        """``total`` of every refit with its own baseline; ``eta``: (n, causes, refits), returns (n, refits)."""
        return self._totals_of_refits(eta, (self._index(horizon_days),))[:, 0]

    def totals_of_refits(self, eta: Floats, horizons_days: tuple[int, ...]) -> Floats:
        """``refit_totals`` by several horizons; ``eta``: (n, causes, refits), returns (n, horizons, refits)."""
        return self._totals_of_refits(eta, tuple(self._index(days) for days in horizons_days))

    def _incidence(self, eta: Floats, until: tuple[int, ...]) -> Floats:
        return _incidence_by(np.exp(self.slope * eta), self.hazard, self._running, self.events, until)

    def _totals_of_refits(self, eta: Floats, until: tuple[int, ...]) -> Floats:
        relative = np.exp(self.slope[:, None] * eta).transpose(2, 0, 1)
        found = _incidence_by(relative, self.refits, self._refits_running, self.events, until)
        return link(self.scale, found.transpose(1, 2, 0))

    def gradient(self, eta: Floats) -> Floats:
        """Derivative of ``total`` at the default horizon by each linear predictor ``eta`` (n, causes), same shape."""
        until = self._index(None) + 1
        hazards = np.exp(self.slope * eta)[:, :, None] * self.hazard[:, :until]
        leaving, total = self._leaving(hazards)
        share = hazards[:, : self.events].sum(axis=1) / total
        survival = np.exp(-total.cumsum(axis=1))
        cumulative = np.cumsum(hazards, axis=2)
        wanted = (np.arange(len(self.slope)) < self.events)[:, None]
        by_share = hazards * (wanted - share[:, None, :]) * (leaving / total)[:, None, :]
        falls = survival[:, None, :] * cumulative
        falls[:, :, 1:] -= falls[:, :, :-1].copy()
        by_survival = share[:, None, :] * falls
        incidence = (share * leaving).sum(axis=1)
        slope_of_link = -1.0 / ((1 - incidence) * np.log1p(-incidence))
        return np.asarray(self.slope * (by_share + by_survival).sum(axis=2) * slope_of_link[:, None])

    def _leaving(self, hazards: Floats) -> tuple[Floats, Floats]:
        """Probability of leaving in each interval and the total hazard in it, both (n, g)."""
        total = hazards.sum(axis=1) + 1e-300
        survival = np.exp(-total.cumsum(axis=1))
        return _falls(survival), total

    def _index(self, horizon_days: int | None) -> int:
        days = DEFAULT_HORIZON_DAYS if horizon_days is None else horizon_days
        grid: list[float] = self.grid_days.tolist()
        if days not in grid:
            raise UsageError(f"horizon_days must be one of {[int(d) for d in grid]}")
        return grid.index(days)

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


def _incidence_by(relative: Floats, hazard: Floats, running: Floats, events: int, until: tuple[int, ...]) -> Floats:
    """Incidence of the first ``events`` causes by the ends of the intervals ``until``, ascending: (..., n, ends).

    ``relative``: (..., n, causes) hazards beside the baseline; ``hazard``: (..., causes, g) increments of the
    cumulative baselines, ``running`` their running sums.
    """
    used = slice(0, until[-1] + 1)
    wanted = relative[..., :events] @ hazard[..., :events, used]
    total = wanted + relative[..., events:] @ hazard[..., events:, used]
    total += 1e-300
    fall = _falls(np.exp(-(relative @ running[..., used])))
    fall *= wanted
    fall /= total
    if len(until) == 1:
        return np.asarray(fall.sum(axis=-1, keepdims=True))
    starts = [0, *(end + 1 for end in until[:-1])]
    return np.asarray(np.add.reduceat(fall, starts, axis=-1).cumsum(axis=-1))


def _falls(survival: Floats) -> Floats:
    """How much survival (..., g) falls in each interval; ``np.diff`` with a first value takes four times as long."""
    fall = np.empty_like(survival)
    fall[..., 0] = 1.0 - survival[..., 0]
    np.subtract(survival[..., :-1], survival[..., 1:], out=fall[..., 1:])
    return fall


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
