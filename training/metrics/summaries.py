"""All metrics of one validation as flat numbers, under the names that MLflow, ``cemrisk compare`` and the gate use."""

from __future__ import annotations

from numpy.typing import ArrayLike

from training.metrics import agreement, binary, decision, survival
from training.metrics.types import Calibration, Clusters, DecisionCurve, Estimate

THRESHOLDS = (0.10, 0.20, 0.30)
_CALIBRATION = ("oe", "calibration_in_the_large", "calibration_slope", "ici", "e50", "e90", "emax")


def summary(
    risk: ArrayLike, y: ArrayLike, cluster: Clusters = None, *, curves: int = agreement.DRAWS
) -> dict[str, float]:
    """Every metric of a binary outcome, each with ``<name>_lo`` and ``<name>_hi``; NaN where it does not exist.

    ``curves``: see ``calibration``.
    ``oe`` is observed/expected (ideal 1), ``calibration_in_the_large`` the intercept on the logit scale (ideal 0).
    Raises TooLittleData for a single class.
    """
    found = {
        "auc": binary.auc(risk, y, cluster),
        "concordance": survival.concordance(risk, y, cluster=cluster),
        "brier": binary.brier(risk, y, cluster),
        "scaled_brier": binary.scaled_brier(risk, y, cluster),
        "log_loss": binary.log_loss(risk, y, cluster),
    }
    curve = decision.net_benefit(risk, y, THRESHOLDS, cluster)
    return _flat(found, agreement.calibration(risk, y, cluster, curves=curves), curve, "")


def summary_at(
    risk: ArrayLike,
    event_code: ArrayLike,
    days: ArrayLike,
    horizon_days: float,
    suffix: str = "",
    cluster: Clusters = None,
    *,
    curves: int = agreement.DRAWS,
) -> dict[str, float]:
    """The same at a horizon with competing events; ``suffix`` "m12" gives ``brier_m12``, ``brier_m12_lo`` and so on.

    Also ``concordance_uno``. ``calibration_in_the_large`` is on the complementary log-log scale.
    """
    at = (risk, event_code, days, horizon_days)
    found = {
        "auc": survival.auc_at(*at, cluster=cluster),
        "concordance": survival.concordance(*at, cluster=cluster),
        "concordance_uno": survival.concordance_uno(*at, cluster=cluster),
        "brier": survival.brier_at(*at, cluster=cluster),
        "scaled_brier": survival.scaled_brier_at(*at, cluster=cluster),
        "log_loss": survival.log_loss_at(*at, cluster=cluster),
    }
    curve = decision.net_benefit_at(*at, THRESHOLDS, cluster=cluster)
    return _flat(found, agreement.calibration_at(*at, cluster=cluster, curves=curves), curve, suffix)


def _flat(found: dict[str, Estimate], agreement: Calibration, curve: DecisionCurve, suffix: str) -> dict[str, float]:
    ending = f"_{suffix.lstrip('_')}" if suffix else ""
    rows = {name: (one.value, one.lo, one.hi) for name, one in found.items()}
    for name in _CALIBRATION:
        one: Estimate = getattr(agreement, name)
        rows[name] = (one.value, one.lo, one.hi)
    for place, cut in enumerate(curve.thresholds):
        rows[f"net_benefit_{cut * 100:.0f}"] = (curve.value[place], curve.lo[place], curve.hi[place])
    return {
        f"{name}{ending}{bound}": float(number)
        for name, numbers in rows.items()
        for bound, number in zip(("", "_lo", "_hi"), numbers, strict=True)
    }
