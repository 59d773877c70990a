"""Registries that tell only some routes, or none, still train any leak, and the told leaks stand for the untold."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import models
from models import BoostedRisk, CoxRisk, LogisticRisk, Settings
from models.calibrated import LEAKAGE_PARTS
from training.cohort import Cohort, cohort
from training.simulate import simulate


@cache
def _cohort(share_untold: float) -> Cohort:
    columns = dict(simulate(1200, 5).columns)
    rng = np.random.default_rng(0)
    found = columns["leak_routes"].copy()
    for row, routes in enumerate(found):
        if routes and "none" not in routes and rng.random() < share_untold:
            found[row] = frozenset({"unspecified"})
    return cohort(columns | {"leak_routes": found}, "leakage")


@pytest.mark.parametrize("learner", [LogisticRisk, BoostedRisk, CoxRisk])
def test_without_any_told_route_any_leak_is_trained_alone(learner, tmp_path) -> None:
    people = _cohort(1.0)
    model = learner(Settings(refits=2)).fit(people.matrix, people.target)
    assert model.parts == ("any",)
    assert not model.has_routes
    assert model.risk(people.matrix).mean() == pytest.approx(people.target.leaked.mean(), abs=0.01)
    models.save(model, tmp_path / "model")
    np.testing.assert_array_equal(models.load(tmp_path / "model").risk(people.matrix), model.risk(people.matrix))


@pytest.mark.parametrize("learner", [LogisticRisk, BoostedRisk])
def test_told_leaks_stand_for_those_whose_route_was_not_told(learner) -> None:
    whole, half = _cohort(0.0), _cohort(0.5)
    full = learner(Settings(refits=0)).fit(whole.matrix, whole.target).routes(whole.matrix).mean(axis=0)
    part = learner(Settings(refits=0)).fit(half.matrix, half.target)
    assert part.parts == LEAKAGE_PARTS
    np.testing.assert_allclose(part.routes(whole.matrix).mean(axis=0), full, rtol=0.25)


def test_a_leak_without_a_day_still_counts_in_the_cox_model() -> None:
    columns = dict(simulate(1200, 5).columns)
    days = np.array(columns["leak_detected_days"], dtype=float)
    days[::2] = np.nan
    people = cohort(columns | {"leak_detected_days": days}, "leakage")
    risk = CoxRisk(Settings(refits=0)).fit(people.matrix, people.target).risk(people.matrix)
    assert risk.mean() == pytest.approx(people.target.leaked.mean(), abs=0.01)
