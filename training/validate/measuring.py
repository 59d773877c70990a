"""All metrics of predictions under the names that MLflow, ``cemrisk compare`` and the gate use."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from features.errors import TooLittleData
from features.outcome import CAUSES, HORIZON_DAYS, ROUTES, Leakage, Refracture
from training import metrics
from training.validate.judging import any_code

Floats = NDArray[np.float64]


def measure(
    target: Leakage | Refracture,
    risk: Floats,
    detail: Floats | None,
    base: Floats | None = None,
    *,
    curves: int = metrics.DRAWS,
) -> dict[str, float]:
    """All metrics of predictions, each with ``_lo`` and ``_hi``.

    ``risk``, ``detail``: as ``Predicted``; ``base``: what the base rate would have said, of the shape of ``risk``;
    ``curves``: drawn for the intervals of ICI, E50, E90 and Emax, which are left out with 0. A horizon that follow-up
    does not reach, or a route that nobody had, has no metrics; nothing is extrapolated. Raises ``TooLittleData`` where
    all rows have the same leakage.
    """
    if isinstance(target, Leakage):
        found = metrics.summary(risk, target.leaked, cluster=target.patient, curves=curves)
        if base is not None:
            found["log_loss_base"] = metrics.log_loss(base, target.leaked, cluster=target.patient).value
        if detail is not None:
            for index, route in enumerate(ROUTES):
                # A route that nobody had, in later patients or a resample, has no metrics; the others do.
                with suppress(TooLittleData):
                    found |= _route_metrics(target, detail[:, index], index, route, curves)
        return found
    found = {}
    for index, months in enumerate(HORIZON_DAYS):
        one = None if base is None else base[:, index]
        found |= _horizon_metrics(target, risk[:, index], detail, one, index, months, curves)
    return found


def _route_metrics(target: Leakage, risk: Floats, index: int, route: str, curves: int) -> dict[str, float]:
    told = ~np.isnan(target.routes[:, index])
    if not told.all():
        # Leaks of unknown route are missing from what was observed: only the order of risks can be judged.
        one = metrics.auc(risk[told], target.routes[told, index], cluster=target.patient[told])
        return {f"auc_{route}": one.value, f"auc_{route}_lo": one.lo, f"auc_{route}_hi": one.hi}
    summary = metrics.summary(risk[told], target.routes[told, index], cluster=target.patient[told], curves=curves)
    wanted = ("auc", "oe", "calibration_slope", "brier", "log_loss")
    return {f"{name}_{route}{end}": summary[name + end] for name in wanted for end in ("", "_lo", "_hi")}


def _horizon_metrics(
    target: Refracture,
    risk: Floats,
    detail: Floats | None,
    base: Floats | None,
    index: int,
    months: int,
    curves: int,
) -> dict[str, float]:
    """Empty where follow-up, or that of the others of a fold, ends before the horizon."""
    if base is not None and not np.isfinite(base).all():
        return {}
    code, days, suffix, patient = any_code(target), HORIZON_DAYS[months], f"m{months}", target.patient
    try:
        found = metrics.summary_at(risk, code, target.days, days, suffix, cluster=patient, curves=curves)
        if base is not None:
            loss = metrics.log_loss_at(base, code, target.days, days, cluster=patient)
            found[f"log_loss_base_{suffix}"] = loss.value
    except TooLittleData:
        return {}
    if detail is None:
        return found
    for place, cause in enumerate(CAUSES):
        observed = metrics.aalen_johansen(_first(target.event_code, place + 1), target.days, [days]).value[0]
        found[f"oe_{cause}_{suffix}"] = float(observed / detail[:, place, index].mean())
    return found


def _first(event_code: NDArray[np.intp], wanted: int) -> NDArray[np.intp]:
    """Codes with the wanted cause as 1 and all others as competing."""
    return np.where(event_code == wanted, 1, np.where(event_code > 0, 2, 0))
