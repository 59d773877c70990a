"""Learners of one training against each other, on the same out-of-fold patients, with paired intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import TooLittleData
from features.outcome import HORIZON_DAYS, Leakage
from training import metrics
from training.cohort import Cohort
from training.metrics import Estimate
from training.validate.judging import JUDGED_AT, any_code, judge, plain

Floats = NDArray[np.float64]
THRESHOLDS = (0.10, 0.20, 0.30)


def contrasts(people: Cohort, risks: dict[str, Floats]) -> list[dict[str, Any]]:
    """Every pair of learners: ``first`` minus ``second``; ``risks``: (n,) of each at the judged horizon.

    Empty where the outcome is known of too few.
    """
    try:
        judged = {name: _paired(judge(people.target, risk)) for name, risk in risks.items()}
        judged = {name: found | net_benefits(people, risks[name]) for name, found in judged.items()}
    except TooLittleData:
        return []
    names: Sequence[str] = list(risks)
    return [
        {"first": first, "second": second, "metrics": plain(differences(judged[first], judged[second], people.patient))}
        for place, first in enumerate(names)
        for second in names[place + 1 :]
    ]


def _paired(found: dict[str, Estimate]) -> dict[str, Estimate]:
    return {name: one for name, one in found.items() if one.influence is not None}


def differences(
    first: dict[str, Estimate], second: dict[str, Estimate], patient: NDArray[np.intp]
) -> dict[str, Estimate]:
    """``first`` minus ``second`` of every metric that both have, intervals by patient."""
    return {name: metrics.contrast(one, second[name], patient) for name, one in first.items() if name in second}


def net_benefits(people: Cohort, risk: Floats) -> dict[str, Estimate]:
    """Net benefit at 10, 20 and 30 % with the influence of each row."""
    target = people.target
    if isinstance(target, Leakage):
        curve = metrics.net_benefit(risk, target.leaked, THRESHOLDS, cluster=target.patient)
    else:
        at = (risk, any_code(target), target.days, HORIZON_DAYS[JUDGED_AT])
        curve = metrics.net_benefit_at(*at, THRESHOLDS, cluster=target.patient)
    rows = zip(curve.value, curve.lo, curve.hi, curve.se, curve.influence, strict=True)
    return {
        f"net_benefit_{cut * 100:.0f}": Estimate(float(value), float(lo), float(hi), float(error), influence)
        for cut, (value, lo, hi, error, influence) in zip(THRESHOLDS, rows, strict=True)
    }
