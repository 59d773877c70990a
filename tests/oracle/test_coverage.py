"""Intervals of a patient's risk against his true risk, small; the whole table is benchmarks/coverage.py."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.coverage import one_registry
from features.build import Outcome
from models.interface import Learner

REGISTRIES = 4


@pytest.mark.slow
@pytest.mark.parametrize(("outcome", "learner"), [("leakage", "logistic"), ("refracture", "cox")])
def test_intervals_hold_the_true_risk_of_most_patients(outcome: Outcome, learner: Learner) -> None:
    rows = [row for seed in range(20_000, 20_000 + REGISTRIES) for row in one_registry(outcome, learner, seed, 1000)]
    covered = np.array([float(row["covered"]) for row in rows])
    assert 0.85 < covered.mean() < 0.995
    assert all(0.02 < float(row["width"]) < 0.3 for row in rows)
