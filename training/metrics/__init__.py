"""Metrics of predicted risk: pure functions on arrays, for binary outcomes and for time to event with competing events.

Binary: ``auc``, ``concordance``, ``brier``, ``scaled_brier``, ``log_loss``, ``calibration``, ``net_benefit``,
``risk_distribution``, ``summary``, each taking ``(risk, y, ..., cluster=None)``.

Time to event: ``concordance``, ``concordance_uno``, ``auc_at``, ``brier_at``, ``scaled_brier_at``, ``log_loss_at``,
``calibration_at``, ``net_benefit_at``, ``risk_distribution_at``, ``summary_at``, each taking
``(risk, event_code, days, horizon_days, ..., cluster=None)``; and ``aalen_johansen(event_code, days, times)``.

``contrast(a, b)`` compares two models judged on the same rows, with a paired interval.
"""

from training.metrics.agreement import DRAWS, calibration, calibration_at
from training.metrics.binary import auc, brier, log_loss, risk_distribution, scaled_brier
from training.metrics.censoring import aalen_johansen, one_minus_kaplan_meier, pseudo_observations_at
from training.metrics.decision import net_benefit, net_benefit_at
from training.metrics.summaries import summary, summary_at
from training.metrics.survival import (
    auc_at,
    brier_at,
    concordance,
    concordance_uno,
    log_loss_at,
    risk_distribution_at,
    scaled_brier_at,
)
from training.metrics.types import Calibration, Curve, DecisionCurve, Estimate, Incidence, RiskDistribution, contrast

__all__ = [
    "DRAWS",
    "Calibration",
    "Curve",
    "DecisionCurve",
    "Estimate",
    "Incidence",
    "RiskDistribution",
    "aalen_johansen",
    "auc",
    "auc_at",
    "brier",
    "brier_at",
    "calibration",
    "calibration_at",
    "concordance",
    "concordance_uno",
    "contrast",
    "log_loss",
    "log_loss_at",
    "net_benefit",
    "net_benefit_at",
    "one_minus_kaplan_meier",
    "pseudo_observations_at",
    "risk_distribution",
    "risk_distribution_at",
    "scaled_brier",
    "scaled_brier_at",
    "summary",
    "summary_at",
]
