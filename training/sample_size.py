"""The smallest development sample by Riley and colleagues (BMJ 2020;368:m441; Stat Med 2019;38:1276).

For a binary outcome, or the risk of an event by one horizon, with a given prevalence, an expected c statistic and a
number of candidate parameters, four conditions are computed and the largest sample counts:

1. expected shrinkage of at least 0.90;
2. a difference of at most 0.05 between apparent and adjusted Nagelkerke R²;
3. the mean risk known to within ± 0.05;
4. (reported, not a condition of size) events per candidate parameter.

The Cox-Snell R² that goes with a c statistic is that of a linear predictor which is normal with equal variance among
those with and without the event (Riley 2021, Stat Med 40:859), here by quadrature instead of simulation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

SHRINKAGE = 0.90
R2_DIFFERENCE = 0.05
RISK_MARGIN = 0.05
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(101)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True, slots=True)
class SampleSize:
    """``needed``: the largest of the three; ``events``: how many events that many rows are expected to have."""

    needed: int
    for_shrinkage: int
    for_optimism: int
    for_mean_risk: int
    events: float
    events_per_parameter: float
    r2_cox_snell: float
    parameters: int


def r2_of(prevalence: float, c_statistic: float) -> float:
    """Cox-Snell R² of a model with this c statistic at this prevalence, both strictly between their limits."""
    if not (0 < prevalence < 1 and 0.5 <= c_statistic < 1):
        raise ValueError("prevalence must lie between 0 and 1, the c statistic from 0.5 to below 1")
    distance = math.sqrt(2) * NormalDist().inv_cdf(c_statistic)
    odds = math.log(prevalence / (1 - prevalence)) - distance**2 / 2

    def mean_log_likelihood(mean: float, event: bool) -> float:
        eta = odds + distance * (mean + _NODES)
        return float(_WEIGHTS @ (-np.logaddexp(0, -eta) if event else -np.logaddexp(0, eta)))

    model = prevalence * mean_log_likelihood(distance, True) + (1 - prevalence) * mean_log_likelihood(0.0, False)
    return 1 - math.exp(-2 * (model - _null(prevalence)))


def sample_size(prevalence: float, c_statistic: float, parameters: int) -> SampleSize:
    """Rows needed to develop a model with this many candidate parameters (terms, splines counted by their terms)."""
    r2 = r2_of(prevalence, c_statistic)
    largest = 1 - math.exp(2 * _null(prevalence))
    shrinkage = _for_shrinkage(SHRINKAGE, r2, parameters)
    optimism = _for_shrinkage(r2 / (r2 + R2_DIFFERENCE * largest), r2, parameters)
    mean_risk = math.ceil((NormalDist().inv_cdf(0.975) / RISK_MARGIN) ** 2 * prevalence * (1 - prevalence))
    needed = max(shrinkage, optimism, mean_risk)
    events = needed * prevalence
    return SampleSize(needed, shrinkage, optimism, mean_risk, events, events / parameters, r2, parameters)


def expected_shrinkage(rows: int, prevalence: float, c_statistic: float, parameters: int) -> float:
    """Uniform shrinkage to expect of an unpenalised model on so many rows (van Houwelingen's heuristic)."""
    r2 = r2_of(prevalence, c_statistic)
    low, high = 1e-6, 1 - 1e-9
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _rows_at(middle, r2, parameters) < rows else (low, middle)
    return (low + high) / 2


def _for_shrinkage(shrinkage: float, r2: float, parameters: int) -> int:
    return math.ceil(_rows_at(shrinkage, r2, parameters))


def _rows_at(shrinkage: float, r2: float, parameters: int) -> float:
    inside = 1 - r2 / shrinkage
    return parameters / ((shrinkage - 1) * math.log(inside)) if inside > 0 else 0.0


def _null(prevalence: float) -> float:
    """Mean log likelihood of the base rate."""
    return prevalence * math.log(prevalence) + (1 - prevalence) * math.log(1 - prevalence)
