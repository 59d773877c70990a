"""What the prior is worth where the truth is known, small; the whole table is benchmarks/prior.py.

Registries of 100 patients in worlds that differ from the prior, and in the world where all its signs are wrong.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from benchmarks.prior import KINDS, MODELS, asked, matrix_of, one_registry, registry, world_of
from features.build import build
from models import LogisticRisk, Settings
from models.calibrate import link
from models.prior import Prior
from training.cohort import cohort
from training.simulate import World, simulate

REGISTRIES = 6


@cache
def shares(kind: str) -> dict[str, np.ndarray]:
    """Share of the achievable gain by model, one for each registry."""
    rows = [row for number in range(REGISTRIES) for row in one_registry(kind, 100, number)]
    return {name: np.array([row["share"] for row in rows if row["model"] == name], dtype=float) for name in MODELS}


def test_a_small_registry_gains_by_a_prior_that_is_roughly_right() -> None:
    found = shares(KINDS[0])
    assert (found["with prior"] - found["without"]).mean() > 0.03
    assert found["with prior"].mean() > 0.2


@pytest.mark.parametrize("patients", [100, 1000])
def test_data_overrule_a_prior_that_is_altogether_wrong(patients: int) -> None:
    """Off by little in the mean although each of its signs is wrong, and the larger the registry the less."""
    if patients == 100:
        found = shares(KINDS[1])
        assert (found["with prior"] - found["ridge"]).mean() > -0.05
        return
    row, plain, _ = one_registry(KINDS[1], patients, 0)
    assert float(row["share"]) > float(plain["share"]) - 0.02
    assert float(row["kept"]) < 0.5


def test_with_many_patients_the_prior_hardly_matters() -> None:
    few = [_moved_by_prior(100, seed) for seed in range(1, 6)]
    assert _moved_by_prior(3000, 1) < 0.6 * np.mean(few)


def _moved_by_prior(patients: int, seed: int) -> float:
    """Mean distance on the log odds of the answers with and without the prior."""
    matrix, target = registry(world_of(KINDS[0], 1), patients, seed)
    _, fresh = asked()
    models = [LogisticRisk(Settings(refits=0, prior=prior)) for prior in (Prior.load("published"), None)]
    one, other = (link("log_odds", model.fit(matrix, target).risk(fresh)) for model in models)
    return float(np.abs(one - other).mean())


def test_the_benchmarks_patients_are_those_of_the_simulator() -> None:
    """It leaves out what leakage does not need; what it keeps is the same, number for number."""
    found = simulate(150, 9)
    people = cohort(found.complete, "leakage")
    matrix, target = registry(World.load(None), 150, 9)
    np.testing.assert_array_equal(np.sort(matrix.values, axis=0), np.sort(people.matrix.values, axis=0))
    assert target.leaked.sum() == people.target.leaked.sum()  # type: ignore[union-attr]
    fresh, fresh_matrix = asked()
    assert len(fresh_matrix) == len(fresh.patient) and (fresh_matrix["detection"] == 1).all()
    built = build(found.complete, "leakage", detection="CT", patient=found.patient)
    assert matrix_of(_people_of(150, 9), np.ones(len(found.patient))).values == pytest.approx(built.values)


def _people_of(patients: int, seed: int) -> object:
    from training.simulate.population import draw_population

    first = np.random.SeedSequence(seed).spawn(5)[0]
    return draw_population(World.load(None), patients, np.random.default_rng(first))
