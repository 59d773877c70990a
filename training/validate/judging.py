"""The few numbers by which subgroups, splits and learners are put side by side: calibration first.

Leakage is judged as it is, refracture at its horizon of 12 months, or another one where asked.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from features.outcome import CAUSES, HORIZON_DAYS, Leakage, Refracture
from training import metrics
from training.metrics import Estimate

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

#: Months at which a refracture model is judged.
JUDGED_AT = 12
#: Rows with the event, and without it, below which a group is not judged (Collins, Ogundimu and Altman 2016 ask for
#: 100 of each to be precise; below 20 an interval holds nearly every answer).
FLOOR = 20
#: Smaller counts could point to a patient and are not written down.
SMALLEST_COUNT = 5


def any_code(target: Refracture) -> NDArray[np.intp]:
    """Event codes of any refracture: 1 refracture, 2 death, 0 censored."""
    return np.where(target.event_code == len(CAUSES), 2, (target.event_code > 0).astype(np.intp))


def judged_risk(risk: Floats) -> Floats:
    """The risks (n,) at the judged horizon, of those by all horizons (n, horizons) or of those without any (n,)."""
    return risk if risk.ndim == 1 else risk[:, list(HORIZON_DAYS).index(JUDGED_AT)]


def counts(target: Leakage | Refracture, rows: Rows, months: int = JUDGED_AT) -> tuple[int, int]:
    """Among ``rows`` (n,) how many are known to have had the event (by the horizon), and how many are known not to."""
    if isinstance(target, Leakage):
        events = int(target.leaked[rows].sum())
        return events, int(rows.sum()) - events
    days, code = target.days[rows], any_code(target)[rows]
    horizon = HORIZON_DAYS[months]
    events = int(((code == 1) & (days <= horizon)).sum())
    return events, int(((days >= horizon) | (code == 2)).sum()) - int(((code == 1) & (days == horizon)).sum())


def too_small(events: int, others: int) -> str:
    """Why a group of this size is not judged; empty if it is."""
    if min(events, others) >= FLOOR:
        return ""
    return f"fewer than {FLOOR} with the event or without it: not judged"


def judge(
    target: Leakage | Refracture, risk: Floats, rows: Rows | None = None, months: int = JUDGED_AT
) -> dict[str, Estimate]:
    """O/E, slope, in the large, ICI, scaled Brier, Brier, log loss and AUC of ``risk`` (n,) on ``rows`` (n,).

    Intervals by patient. Raises ``TooLittleData`` where nothing can be said.
    """
    chosen = np.ones(len(risk), dtype=bool) if rows is None else rows
    seen = target.take(chosen)
    if isinstance(seen, Leakage):
        at: tuple[Floats | NDArray[np.intp] | float, ...] = (risk[chosen], seen.leaked)
        agreement = metrics.calibration(risk[chosen], seen.leaked, cluster=seen.patient)
        named = {name: getattr(metrics, name) for name in ("scaled_brier", "brier", "log_loss", "auc")}
    else:
        at = (risk[chosen], any_code(seen), seen.days, HORIZON_DAYS[months])
        agreement = metrics.calibration_at(
            risk[chosen], any_code(seen), seen.days, HORIZON_DAYS[months], cluster=seen.patient
        )
        named = {name: getattr(metrics, f"{name}_at") for name in ("scaled_brier", "brier", "log_loss", "auc")}
    calibrated = {name: getattr(agreement, name) for name in _CALIBRATION}
    return calibrated | {name: function(*at, cluster=seen.patient) for name, function in named.items()}


_CALIBRATION = ("oe", "calibration_slope", "calibration_in_the_large", "ici")


def plain(found: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    """Estimates as JSON holds them: ``{"value", "lo", "hi"}``, null where a number does not exist."""
    return {name: bounds(one.value, one.lo, one.hi) for name, one in found.items()}


def bounds(value: float, lo: float, hi: float) -> dict[str, float | None]:
    """One number with its interval; null where it does not exist."""
    return {"value": _finite(value), "lo": _finite(lo), "hi": _finite(hi)}


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def shown(count: int) -> int | None:
    """A count as it may be written down: null where it is small, but not zero."""
    return None if 0 < count < SMALLEST_COUNT else count
