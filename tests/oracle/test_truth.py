"""The simulator against itself: what it says is true must be what it draws, and both must meet the world's margins."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from training.simulate import Registry, World, simulate
from training.simulate.calibration import calibration_z, default_world_rates
from training.simulate.effects import REFERENCE_PATIENTS, REFERENCE_SEED, solve
from training.simulate.population import draw_population
from training.simulate.truth import cumulative_incidence, leak_truth

PATIENTS = 12_000


@cache
def registry() -> Registry:
    return simulate(PATIENTS, seed=5)


@pytest.mark.parametrize("column", list(registry().truth))
def test_truth_is_calibrated_in_every_tenth_of_risk(column: str) -> None:
    z = calibration_z(registry(), column)
    assert len(z) == 10
    assert np.abs(z).max() <= 3.5, f"{column}: {np.round(z, 2)}"


def test_a_wrong_truth_is_noticed() -> None:
    """The test above can fail: risks a sixth too high are far outside its limits."""
    wrong = dict(registry().truth) | {"leak_any_ct": registry().truth["leak_any_ct"] * 1.17}
    other = Registry(**{name: getattr(registry(), name) for name in Registry.__dataclass_fields__} | {"truth": wrong})
    assert np.abs(calibration_z(other, "leak_any_ct")).max() > 3.5


def test_rates_of_the_default_world() -> None:
    """Within 0.01 of the world's own regression targets, but for the noise of this smaller registry."""
    rates = default_world_rates(registry())
    assert len(rates) >= 18
    for rate in rates:
        assert abs(rate.found - rate.target) <= 0.01 + 2.5 * rate.standard_error, rate


@pytest.mark.parametrize("profile", ["routine_report", "ct_strict"])
def test_route_margins_are_met(profile: str) -> None:
    world = World.load().with_design(profile=profile)
    people = draw_population(world, 60_000, np.random.default_rng(3))
    truth = leak_truth(world, people)
    for route, rate in world.part("leakage_routes", "profiles", profile).items():
        assert truth[f"leak_{route}"].mean() == pytest.approx(rate, abs=0.004)


def test_scales_agree_with_the_calibration_run_of_the_world() -> None:
    """The file's own scales were found by simulation without postoperative effects: remote and death have none."""
    solved = solve(World.load())
    printed = World.load().tree["calibrated"]["weibull_scale_lambda_H_equals_lambda_t_pow_k"]
    assert np.exp(solved.log_scales[2]) == pytest.approx(printed["remote"], rel=0.02)
    assert np.exp(solved.death_log_scale) == pytest.approx(printed["death_low"], rel=0.02)
    for k, cause in enumerate(("same", "adjacent")):  # lower here, since leaks and lumps add to the hazard
        assert 0.8 * printed[cause] < np.exp(solved.log_scales[k]) < printed[cause]


def test_cumulative_incidence_over_five_years_meets_the_calibration_run() -> None:
    world = World.load()
    people = draw_population(world, 20_000, np.random.default_rng(11))
    months = [1, 3, 6, 12, 24, 36, 60]
    found = cumulative_incidence(world, people, [month * 365 / 12 for month in months]).mean(axis=0)
    printed = world.tree["calibrated"]["cif_low_mortality"]
    for row, month in zip(found, months, strict=True):
        assert row[:3].sum() == pytest.approx(printed[f"m{month}"], abs=0.01)
    assert found[3, 3] == pytest.approx(printed["death_first_m12"], abs=0.01)
    assert found[6, 3] == pytest.approx(printed["death_first_m60"], abs=0.01)


def test_a_finer_time_grid_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World.load()
    people = draw_population(world, 500, np.random.default_rng(2))
    coarse = cumulative_incidence(world, people, [91, 365, 730])
    monkeypatch.setattr("training.simulate.truth.STEPS", 2000)
    assert np.abs(cumulative_incidence(world, people, [91, 365, 730]) - coarse).max() < 2e-4


def test_truth_belongs_to_the_record_and_not_to_the_seed() -> None:
    """The same people in two registries have the same truth: it is an integral, not a draw."""
    world = World.load()
    people = draw_population(world, 300, np.random.default_rng(REFERENCE_SEED + 1))
    first, second = leak_truth(world, people), leak_truth(world, people)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert REFERENCE_PATIENTS >= 100_000
