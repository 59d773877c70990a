"""One look at out-of-sample predictions for each horizon: calibration, decision curve, distribution, histogram.

Figures, the stored evaluation and the report are all made from these, so that each is computed once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.outcome import HORIZON_DAYS, Leakage
from training import metrics
from training.cohort import Cohort
from training.validate import Validated, any_code

Floats = NDArray[np.float64]

#: Thresholds of the decision curve, as risks.
THRESHOLDS = np.arange(0.02, 0.505, 0.02)
#: Width of the bars in which predicted risks are counted.
BAR = 0.025


@dataclass(frozen=True, slots=True)
class Look:
    """``months`` and ``days`` are None for leakage, which has no horizon; ``risk``: (rows,) out of sample.

    ``suffix`` ends the names of the metrics at this horizon; ``event`` names what is predicted on axes.
    """

    months: int | None
    days: int | None
    event: str
    risk: Floats
    calibration: metrics.Calibration
    decision: metrics.DecisionCurve
    distribution: metrics.RiskDistribution

    @property
    def suffix(self) -> str:
        return "" if self.months is None else f"_m{self.months}"

    @property
    def counts(self) -> NDArray[np.intp]:
        """How many rows have a predicted risk in each bar of width ``BAR`` from 0 to 1, shape (1 / BAR,)."""
        edges = np.linspace(0.0, 1.0, round(1 / BAR) + 1)
        return np.asarray(np.histogram(self.risk, edges)[0], dtype=np.intp)


def looks(people: Cohort, result: Validated) -> list[Look]:
    """One for leakage; for refracture one for each horizon that follow-up reaches."""
    target = people.target
    if isinstance(target, Leakage):
        y, risk, patient = target.leaked, result.risk, target.patient
        return [
            Look(
                None, None, "a leak", risk,
                metrics.calibration(risk, y, cluster=patient),
                metrics.net_benefit(risk, y, THRESHOLDS, cluster=patient),
                metrics.risk_distribution(risk, y),
            )
        ]  # fmt: skip
    code, found = any_code(target), []
    for index, (months, days) in enumerate(HORIZON_DAYS.items()):
        if f"brier_m{months}" not in result.metrics:  # follow-up ends before
            continue
        at = (result.risk[:, index], code, target.days, days)
        found.append(
            Look(
                months, days, f"a new fracture by {months} months", result.risk[:, index],
                metrics.calibration_at(*at, cluster=target.patient),
                metrics.net_benefit_at(*at, THRESHOLDS, cluster=target.patient),
                metrics.risk_distribution_at(*at),
            )
        )  # fmt: skip
    return found
