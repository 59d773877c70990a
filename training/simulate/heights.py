"""Heights of the broken body and of its neighbours, drawn so that the Genant grade derived from them is the drawn
one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.fracture_severity import NORMAL_RATIOS
from training.simulate.population import LEVELS, Population
from training.simulate.quadrature import Floats

MM_PER_VOXEL = 0.8
#: Mean anterior and posterior height in voxels of a CT sample of mostly unbroken vertebrae, from T4 down to L3; scaled
#: so that L1 has the usual 26 mm in front. The sample holds too few L4 to S1: L3 stands for L4 and L5.
ANTERIOR_VOXELS = (23.42, 23.36, 22.63, 22.92, 24.05, 25.63, 27.51, 28.26, 30.22, 32.36, 35.58, 35.5, 35.5, 35.5)
POSTERIOR_VOXELS = (25.33, 26.02, 26.31, 26.85, 27.21, 27.89, 29.52, 31.74, 33.89, 35.51, 36.79, 35.02, 35.02, 35.02)
#: Normal anterior/posterior and middle/posterior ratio of `LEVELS`: the references of the derivation itself.
FRONT_TO_BACK, MIDDLE_TO_BACK = (np.array([NORMAL_RATIOS[level][k] for level in LEVELS]) for k in (0, 1))

#: Worst loss in % by grade, half a point inside the limits of the grade, so that rounding to 0.1 mm cannot change it.
LOSS_PCT = ((0.0, 19.5), (20.5, 24.5), (25.5, 39.5), (40.5, 62.0))
ANTERIOR_IS_WORST = 0.75  # share of wedges; the others are deepest in the middle


def draw_heights(people: Population, rng: np.random.Generator) -> dict[str, Floats]:
    """The five heights in mm, (m,) each. A neighbour that is itself treated, and the sacrum, have none (NaN)."""
    m, here = len(people.patient), people.level + 1  # the tables start one level above LEVELS
    size = rng.normal(np.where(people.female > 0, 0.98, 1.06), 0.05)[people.patient]

    def normal(table: tuple[float, ...], level: NDArray[np.int64]) -> Floats:
        return np.asarray(np.array(table)[level] * MM_PER_VOXEL * size * rng.normal(1.0, 0.02, m), dtype=float)

    above = np.round(normal(ANTERIOR_VOXELS, here - 1), 1)
    above[_also_treated(people, -1)] = np.nan
    below = np.round(normal(ANTERIOR_VOXELS, np.minimum(here + 1, len(ANTERIOR_VOXELS) - 1)), 1)
    below[_also_treated(people, 1) | (people.level == len(LEVELS) - 1)] = np.nan
    posterior = np.round(normal(POSTERIOR_VOXELS, here), 1)
    worst, other = _losses(people.genant, rng)
    anterior_worst = rng.random(m) < ANTERIOR_IS_WORST
    front = _front_reference(above, below, posterior * FRONT_TO_BACK[people.level])
    middle = posterior * MIDDLE_TO_BACK[people.level]
    return {
        "fvah_mm": np.round(front * (1 - np.where(anterior_worst, worst, other)), 1),
        "mvh_mm": np.round(middle * (1 - np.where(anterior_worst, other, worst)), 1),
        "pvh_mm": posterior,
        "adj_ah_above_mm": above,
        "adj_ah_below_mm": below,
    }


def _losses(genant: NDArray[np.int64], rng: np.random.Generator) -> tuple[Floats, Floats]:
    low, high = np.array(LOSS_PCT)[genant].T / 100
    worst = low + rng.random(len(genant)) * (high - low)
    return worst, worst * rng.uniform(0.3, 0.95, len(genant))


def _also_treated(people: Population, step: int) -> NDArray[np.bool_]:
    """Whether the level above (-1) or below (+1) is treated too; a patient's rows run downwards without a gap."""
    same = np.zeros(len(people.patient), dtype=bool)
    adjoining = people.patient[1:] == people.patient[:-1]
    if step < 0:
        same[1:] = adjoining
    else:
        same[:-1] = adjoining
    return same


def _front_reference(above: Floats, below: Floats, own: Floats) -> Floats:
    """Mean of the neighbours, else the one that there is, else the own posterior wall times the normal ratio."""
    both = np.where(np.isnan(above), below, np.where(np.isnan(below), above, (above + below) / 2))
    return np.where(np.isnan(both), own, both)
